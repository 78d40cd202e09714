-- Notes that the API refused an account.
-- KEYS: the lane. ARGV: the job whose turn was refused, action, code, message,
--   time to the next probe (ms), channel, message for it, '1' if the API is away, the
--   witness by the prober's word.
-- Returns 1 if that is news, else 0.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local job = string.match(ARGV[1], '^[^#]*')
local f = redis.call('HMGET', KEYS[1], 'tripped', 'prober', 'probes', 'witness', 'away')
if f[1] and f[2] ~= ARGV[1] then
  return 0
end
if not f[1] or f[5] ~= ARGV[8] then -- refused or away: another fault begins now
  redis.call('HSET', KEYS[1], 'tripped', string.format('%.0f', now))
end
redis.call('HSET', KEYS[1], 'action', ARGV[2], 'code', ARGV[3], 'message', ARGV[4], 'away', ARGV[8],
  'witness', (not f[1] or f[4] == job or ARGV[9] == job) and job or '', 'probes', f[1] and (f[3] or 0) + 1 or 1, 'probe_at', string.format('%.0f', now + ARGV[5]))
redis.call('HDEL', KEYS[1], 'prober', 'prober_until')
redis.pcall('PUBLISH', ARGV[6], ARGV[7])
return 1
