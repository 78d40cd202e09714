-- Ends a pause, and lets the next probe come at once.
-- KEYS: the lane. ARGV: channel, message for it.
redis.call('HDEL', KEYS[1], 'paused', 'paused_why')
if redis.call('HEXISTS', KEYS[1], 'tripped') == 1 then
  redis.call('HSET', KEYS[1], 'probe_at', '0')
end
redis.pcall('PUBLISH', ARGV[1], ARGV[2])
return 1
