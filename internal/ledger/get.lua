-- Reads records. KEYS: one record each. Returns Redis's clock in milliseconds,
-- then each record, '' for none.
local t = redis.call('TIME')
local out = {string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))}
for _, key in ipairs(KEYS) do
  out[#out + 1] = stored(key) or ''
end
return out
