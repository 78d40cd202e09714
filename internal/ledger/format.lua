-- Notes the record format of a process, if it is the first one, or a worker that is
-- newer than the others. Of one that the records are not for, it changes nothing.
-- KEYS: the formats in use. ARGV: the lowest version that the process reads, the one
--   that it writes, '1' if a request was sealed before, '1' for a worker.
-- Returns the lowest and the highest format in use, '' and '' for none.
local f = redis.call('HMGET', KEYS[1], 'lowest', 'highest')
local lowest, highest = f[1] or '', f[2] or ''
local none = lowest == '' and highest == ''
if none and ARGV[3] == '0' then
  lowest, highest = ARGV[2], ARGV[2]
  redis.call('HSET', KEYS[1], 'lowest', lowest, 'highest', highest)
elseif not none and ARGV[4] == '1' and (tonumber(lowest) or 0) >= tonumber(ARGV[1])
  and (tonumber(highest) or 0) > 0 and tonumber(highest) < tonumber(ARGV[2]) then
  highest = ARGV[2]
  redis.call('HSET', KEYS[1], 'highest', highest)
end
return {lowest, highest}
