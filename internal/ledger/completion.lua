-- Notes how far telling a completion of a batch got, by compare-and-swap.
-- KEYS: counts of the batch, its completions, owed batches, dead batches.
-- ARGV: name, number of the completion, progress read, progress to write, its
--   state, how long a completion is kept (ms).
-- Returns 'ok', 'missing' or 'conflict'.
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local number, field, member = ARGV[2], ARGV[2] .. ':callback', ARGV[1] .. '#' .. ARGV[2]
local f = redis.call('HMGET', KEYS[2], number, field)
if not f[1] then
  return 'missing'
end
if (f[2] or '') ~= ARGV[3] and f[2] ~= ARGV[4] then
  return 'conflict'
end
redis.call('HSET', KEYS[2], field, ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
for key, list in pairs({[KEYS[3]] = 'owed', [KEYS[4]] = 'dead'}) do
  if ARGV[5] == list then
    redis.call('ZADD', key, 'NX', now, member)
  else
    redis.call('ZREM', key, member)
  end
end
local last = redis.call('HGET', KEYS[1], 'completions')
if ARGV[5] ~= 'owed' and ARGV[5] ~= 'dead' and last and last ~= number then
  redis.call('HDEL', KEYS[2], number, field) -- only the last one is ever read
end
return 'ok'
