-- Takes the probe of a lane that has tripped.
-- KEYS: the lane. ARGV: the job that asks, for how long (ms).
-- Returns 0 if the job may call, else how long it need not ask again (ms).
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local f = redis.call('HMGET', KEYS[1], 'tripped', 'probe_at', 'prober', 'prober_until', 'witness')
if not f[1] then
  return 0
end
local busy = tonumber(f[4] or 0)
if f[3] and f[3] ~= ARGV[1] and busy > now then
  return busy - now -- the prober may have died: then the next one comes after it
end
local at = tonumber(f[2] or 0)
-- While one job alone has been refused, the word of another is worth having at once.
local other = f[5] and f[5] ~= '' and f[5] ~= string.match(ARGV[1], '^[^#]*')
if f[3] ~= ARGV[1] and at > now and not other then
  return at - now
end
redis.call('HSET', KEYS[1], 'prober', ARGV[1], 'prober_until', string.format('%.0f', now + ARGV[2]))
return 0
