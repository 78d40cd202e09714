-- Takes a name for a job, or tells who has it.
-- KEYS: name lock. ARGV: id, the holder that is known to be gone ('' for none).
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[1])
  return ARGV[1]
end
return holder
