-- Ends the probe of a job.
-- KEYS: the lane. ARGV: the job, time to the next probe (ms) or -1 if the lane
--   is whole again, channel, message for it.
-- Returns 1 if the job was the prober, else 0.
if redis.call('HGET', KEYS[1], 'prober') ~= ARGV[1] then
  return 0
end
redis.call('HDEL', KEYS[1], 'prober', 'prober_until')
if ARGV[2] == '-1' then
  redis.call('HDEL', KEYS[1], 'tripped', 'away', 'witness', 'action', 'code', 'message', 'probes', 'probe_at')
else
  local t = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'probe_at', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2]))
end
redis.pcall('PUBLISH', ARGV[3], ARGV[4])
return 1
