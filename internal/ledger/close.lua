-- Closes a batch: its producer has sent the last job.
-- KEYS: counts of the batch, its completions, owed batches, dead batches.
-- ARGV: name, how long a completion is kept (ms), how many of the states are not
--   final; then those, then the final ones.
-- Returns which completion that brought about, or brought about before if it is
-- still to be told, since the reply may have been lost; '0' for none.
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local states = {unpack(ARGV, 4)}
local n = jobs(KEYS[1], states)
if n == 0 then
  return '0' -- there is no such batch
end
if tonumber(redis.call('HGET', KEYS[1], 'closed')) ~= n then
  redis.call('HSET', KEYS[1], 'closed', n, 'closed_at', now)
end
if open(KEYS[1], {unpack(ARGV, 4, 3 + ARGV[3])}) > 0 then
  return '0'
end
local number = complete({batch = KEYS[1], completions = KEYS[2], owed = KEYS[3], dead = KEYS[4]}, ARGV[1], states, now, ARGV[2])
if number == '0' then
  local last = redis.call('HGET', KEYS[1], 'completions')
  if last and redis.call('ZSCORE', KEYS[3], ARGV[1] .. '#' .. last) then
    return last
  end
end
return number
