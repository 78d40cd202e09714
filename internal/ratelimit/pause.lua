-- Lets no slot start within the next DURATION. It never shortens a pause.
--
-- KEYS[1]  the bucket
-- ARGV     duration us, keep ms
local t = redis.call("TIME")
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])

local blocked = math.max(tonumber(redis.call("HGET", KEYS[1], "blocked") or 0), now + tonumber(ARGV[1]))
redis.call("HSET", KEYS[1], "blocked", string.format("%.0f", blocked))
redis.call("PEXPIRE", KEYS[1], string.format("%.0f", math.ceil((blocked - now) / 1000) + tonumber(ARGV[2])))
return redis.status_reply("OK")
