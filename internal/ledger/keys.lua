-- Notes the data key that a process seals with, unless the process shares no key
-- with the others.
-- KEYS: fingerprints in use. ARGV: the process's own, the sealing one first.
-- Returns the fingerprints in use if none of the process's own is among them.
local known = redis.call('SMEMBERS', KEYS[1])
local shared = #known == 0
for _, own in ipairs(ARGV) do
  shared = shared or redis.call('SISMEMBER', KEYS[1], own) == 1
end
if not shared then
  return known
end
redis.call('SADD', KEYS[1], ARGV[1])
return {}
