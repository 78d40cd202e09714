-- Books up to WANT slots that start within HORIZON from now.
--
-- ARGV[4-5]  want, horizon us
-- returns    {booked, us from now to the first slot, us until it is worth asking
--             again, interval us, now, last, blocked, lowered, rate, ceiling of the
--             booking before}; the last six as text.
--             want = 0 only looks: nothing is written.
local want, horizon = tonumber(ARGV[4]), tonumber(ARGV[5])

local b = load()
-- An unknown bucket counts as just used: what was used before is unknown.
-- It must be remembered even if nothing is booked, or "just" would never pass.
local unknown = not b.last
local last, blocked, was = b.last or now, b.blocked or 0, b.ceiling or 0

local in_force = rate(b, now)
local interval = math.ceil(1000000 / in_force)

-- Time earns slots, at most a burst of them, and none while blocked.
local start = math.max(last + interval, now - (burst - 1) * interval, blocked)

local booked = 0
local room = now + horizon - start
if room >= 0 then booked = math.min(want, math.floor(room / interval) + 1) end

local again = 0
if booked == 0 then
    -- The rate may have climbed by then, and the slot come earlier. A quarter of
    -- the way at least, or a rate that climbs would be looked at all the while.
    local soon = math.ceil(1000000 / rate(b, start))
    -- Waiting for half a horizon of slots, if that many are wanted, saves
    -- round trips and still books ahead of time.
    local worth = math.min(want, math.floor(horizon / 2 / soon) + 1)
    again = math.max(last + soon, blocked) + math.max(worth - 1, 0) * soon - horizon - now
    again = math.max(again, math.ceil((start - horizon - now) / 4))
end

if booked > 0 then
    last = start + (booked - 1) * interval
    tally(b, start, interval, booked, 1)
end
if booked > 0 or (unknown and want > 0) then
    b.last, b.ceiling = last, ceiling
    save(b)
end

return {
    booked, start - now, again, interval,
    string.format(TIME, now), string.format(TIME, last), string.format(TIME, blocked),
    string.format(TIME, b.lowered or 0), string.format(RATE, in_force), string.format(RATE, was),
}
