-- Functions on the counts of a batch. A batch is a hash: how many jobs stand in each
-- state, under the state's name; "code:CODE" counts the failed ones; started is when
-- the first of its jobs was accepted that have ended. closed and completed are how
-- many jobs it had when that happened, so that one more job undoes both without
-- knowing of them.

-- most_fields bounds how many codes a batch counts by their own names; the others
-- count together.
local most_fields = 64

-- failed counts n more failed jobs with the code of a progress.
local function failed(batch, progress, n)
  local read, p = pcall(cjson.decode, progress or '')
  local code = read and type(p) == 'table' and p.code
  if type(code) ~= 'string' or code == '' or #code > 64 then
    code = 'other'
  end
  local field = 'code:' .. code
  if redis.call('HEXISTS', batch, field) == 0 and (n < 0 or redis.call('HLEN', batch) >= most_fields) then
    field = 'code:other'
  end
  if redis.call('HINCRBY', batch, field, n) <= 0 then
    redis.call('HDEL', batch, field) -- below zero: it failed before codes were counted
  end
end

-- open counts the jobs of the batch that have not ended, and notes the time at which
-- one was accepted that has.
local function open(batch, states, enqueued)
  local n, f = 0, redis.call('HMGET', batch, 'started', unpack(states))
  for i = 2, #f do
    n = n + (f[i] or 0)
  end
  if enqueued and (not f[1] or tonumber(enqueued) < tonumber(f[1])) then
    redis.call('HSET', batch, 'started', enqueued)
  end
  return n
end

-- jobs counts all jobs of the batch.
local function jobs(batch, states)
  local n = 0
  for _, count in ipairs(redis.call('HMGET', batch, unpack(states))) do
    n = n + (count or 0)
  end
  return n
end

-- complete notes that a batch without an open job is completed, and that its
-- receiver is to be told, if it is closed and that was not noted before. b names the
-- keys: batch, completions, owed, dead. Returns which completion it is, '0' for none.
local function complete(b, name, states, now, keep)
  local n = jobs(b.batch, states)
  local f = redis.call('HMGET', b.batch, 'closed', 'completed')
  if n == 0 or tonumber(f[1]) ~= n or tonumber(f[2]) == n then
    return '0'
  end
  local number = redis.call('HINCRBY', b.batch, 'completions', 1)
  redis.call('HSET', b.batch, 'completed', n, 'completed_at', now)
  redis.call('HSET', b.completions, number, cjson.encode(redis.call('HGETALL', b.batch)))
  redis.call('ZADD', b.owed, now, name .. '#' .. number)
  -- What was told of an earlier batch of this name, whose counts have expired.
  redis.call('HDEL', b.completions, number .. ':callback')
  redis.call('ZREM', b.dead, name .. '#' .. number)
  -- The one before stays for as long as it is to be told.
  local before = name .. '#' .. (number - 1)
  if not redis.call('ZSCORE', b.owed, before) and not redis.call('ZSCORE', b.dead, before) then
    redis.call('HDEL', b.completions, number - 1, (number - 1) .. ':callback')
  end
  redis.call('PEXPIRE', b.completions, keep)
  return tostring(number)
end

-- reopen takes a completion back, since a job of the batch goes on.
local function reopen(batch)
  redis.call('HDEL', batch, 'completed', 'completed_at')
  redis.call('PERSIST', batch)
end
