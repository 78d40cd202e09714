-- Books up to WANT slots that start within HORIZON from now.
--
-- KEYS[1]  the bucket
-- ARGV     interval us, burst, want, horizon us, keep ms, rate as text
-- returns  {booked, us from now to the first slot, us until it is worth asking
--           again, now, last, blocked, rate}; the last four as text.
--           want = 0 only looks: nothing is written.
--
-- Microseconds since 1970 are below 2^53, so a Lua number holds them exactly,
-- but its own text form would round them: hence "%.0f".
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local want, horizon = tonumber(ARGV[3]), tonumber(ARGV[4])

local t = redis.call("TIME")
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])

local h = redis.call("HMGET", KEYS[1], "last", "blocked", "rate")
-- An unknown bucket counts as just used: nobody knows what was used before.
-- It must be remembered even if nothing is booked, or "just" would never pass.
local last = tonumber(h[1] or now)
local blocked = tonumber(h[2] or 0)
local unknown = not h[1]
-- No slot is booked beyond the horizon. If one is, the clock went back.
if last > now + horizon then last = now + horizon end

-- Time earns slots, at most a burst of them, and none while blocked.
local start = math.max(last + interval, now - (burst - 1) * interval, blocked)

local booked = 0
local room = now + horizon - start
if room >= 0 then booked = math.min(want, math.floor(room / interval) + 1) end

local again = 0
if booked == 0 then
    -- Waiting for half a horizon of slots, if that many are wanted, saves
    -- round trips and still books ahead of time.
    local worth = math.min(want, math.floor(horizon / 2 / interval) + 1)
    again = start + math.max(worth - 1, 0) * interval - horizon - now
end

if booked > 0 then last = start + (booked - 1) * interval end
if booked > 0 or (unknown and want > 0) then
    redis.call("HSET", KEYS[1], "last", string.format("%.0f", last), "rate", ARGV[6])
    local busy = math.max(last, blocked, now) - now
    local busy = math.max(last, blocked, now) - now
    redis.call("PEXPIRE", KEYS[1], string.format("%.0f", math.ceil(busy / 1000) + tonumber(ARGV[5])))
end

return {
    booked, start - now, again,
    string.format("%.0f", now), string.format("%.0f", last), string.format("%.0f", blocked),
    h[3] or "",
}
