-- memory returns used_memory and maxmemory of this Redis, in bytes; 0 and 0 if Redis
-- has no limit, or does not let this user ask.
local function memory()
  local text = redis.pcall('INFO', 'memory')
  if type(text) ~= 'string' then
    return 0, 0
  end
  local max = tonumber(string.match(text, '\nmaxmemory:(%d+)')) or 0
  return max > 0 and tonumber(string.match(text, '\nused_memory:(%d+)')) or 0, max
end
