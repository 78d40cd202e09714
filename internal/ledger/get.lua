-- Reads records. KEYS: one record each. Returns Redis's clock in milliseconds,
-- then head, request, progress and priority of each.
local t = redis.call('TIME')
local out = {string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))}
for _, key in ipairs(KEYS) do
  local f = redis.call('HMGET', key, 'head', 'request', 'progress', 'priority')
  for i = 1, 4 do
    out[#out + 1] = f[i] or ''
  end
end
return out
