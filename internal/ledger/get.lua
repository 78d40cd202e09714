-- Reads records. KEYS: one record each. Returns Redis's clock in milliseconds,
-- then head, request and progress of each.
local t = redis.call('TIME')
local out = {string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))}
for _, key in ipairs(KEYS) do
  local f = redis.call('HMGET', key, 'head', 'request', 'progress')
  out[#out + 1] = f[1] or ''
  out[#out + 1] = f[2] or ''
  out[#out + 1] = f[3] or ''
end
return out
