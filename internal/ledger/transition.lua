-- Changes one record by compare-and-swap, with everything that depends on it.
-- KEYS: record, index of the old state, index of the new state, counts, counts
--   of the batch, name lock, owed callbacks, dead callbacks, instance claim,
--   completions of the batch, owed batches, dead batches.
-- ARGV: id, revision read, revision to write, old state, new state, progress,
--   due in (ms, 0 = now), how long a final record is kept (ms, 0 = not final),
--   '1' if the new state is indexed, '1' if there is a batch, state of the
--   callback, '1' if an instance is claimed, how many of the states are not final;
--   then those, then the final ones.
-- Returns 'ok', 'missing', 'conflict' or 'claimed', then the head, then now, then
-- which completion of the batch that brought about, '0' for none.
local id, read, write, from, to = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))

local record = stored(KEYS[1])
if not record then
  return {'missing', '', now, '0'}
end
local head, priority, before, sealed = split(record)
if not head then
  return {'conflict', '', now, '0'}
end
local v, state, rev, since, enqueued, batch =
  string.match(head, '^(%S+) (%S+) (%S+) (%S+) %S+ (%S+) ?(.*)$')
if rev == write then
  return {'ok', head, now, '0'} -- applied before; only the reply was lost
end
if not readable(v) or rev ~= read or state ~= from then
  return {'conflict', head, now, '0'}
end
if ARGV[12] == '1' then
  local holder = redis.call('GET', KEYS[9])
  if holder and holder ~= id then
    return {'claimed', head, now, '0'}
  end
end

local due = '0'
if ARGV[7] ~= '0' then
  due = string.format('%.0f', now + ARGV[7])
end
if from ~= to then
  since = now
  redis.call('ZREM', KEYS[2], id)
  if ARGV[9] == '1' then
    redis.call('ZADD', KEYS[3], now, id)
  end
  for i, key in ipairs({KEYS[4], KEYS[5]}) do
    if i == 1 or ARGV[10] == '1' then
      redis.call('HINCRBY', key, from, -1)
      redis.call('HINCRBY', key, to, 1)
    end
  end
end
if from == 'failed' and from ~= to and ARGV[10] == '1' then
  failed(KEYS[5], before, -1)
  reopen(KEYS[5]) -- it may have been the batch's last
end
head = table.concat({newest, to, write, since, due, enqueued, batch}, ' ')
record = join(head, priority, ARGV[6], sealed)

local completion = '0'
if ARGV[8] == '0' then
  redis.call('SET', KEYS[1], record)
else
  redis.call('SET', KEYS[1], record, 'PX', ARGV[8])
  if redis.call('GET', KEYS[6]) == id then
    redis.call('DEL', KEYS[6])
  end
  if ARGV[10] == '1' then
    if to == 'failed' and from ~= to then
      failed(KEYS[5], ARGV[6], 1)
    end
    -- The counts of a batch live while one of its jobs does, or they would start
    -- again below zero.
    if open(KEYS[5], {unpack(ARGV, 14, 13 + ARGV[13])}, enqueued) == 0 then
      redis.call('PEXPIRE', KEYS[5], ARGV[8])
      completion = complete({batch = KEYS[5], completions = KEYS[10], owed = KEYS[11], dead = KEYS[12]},
        batch, {unpack(ARGV, 14)}, now, ARGV[8])
    end
  end
end
if ARGV[12] == '1' then
  redis.call('SET', KEYS[9], id, 'PX', ARGV[8])
end
local callback = ARGV[11]
for key, list in pairs({[KEYS[7]] = 'owed', [KEYS[8]] = 'dead'}) do
  if callback == list then
    redis.call('ZADD', key, 'NX', now, id)
  else
    redis.call('ZREM', key, id)
  end
end
return {'ok', head, now, completion}
