-- Gives back the last N slots, if nobody has booked since.
--
-- KEYS[1]  the bucket
-- ARGV     last as the booking returned it, n, interval us
if redis.call("HGET", KEYS[1], "last") ~= ARGV[1] then return 0 end
local last = tonumber(ARGV[1]) - tonumber(ARGV[2]) * tonumber(ARGV[3])
redis.call("HSET", KEYS[1], "last", string.format("%.0f", last))
return 1
