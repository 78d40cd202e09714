-- Lowers the rate, since the API turned a call away, and lets no slot start
-- within RETRY_AFTER.
--
-- ARGV[4]  retry after us; 0 if the API did not say
-- returns  {now, blocked, rate}, as text
local b = load()
local in_force, granted = rate(b, now), b.granted or 0

-- What went well: in the last second, but for what is still under way; and since
-- the call that was turned away before, if the rate is a few a second. One after
-- hundreds that went well, or six seconds of them, says nothing about the rate.
b.recent[cell - 1] = (b.recent[cell - 1] or 0) - 1
local good = 0
for c = cell - CELLS, cell - 1 do good = good + (b.recent[c] or 0) end
if granted >= math.min(200, math.max(20, 6 * in_force)) then
    good = math.max(good, in_force)
elseif granted > 1 and b.lowered then
    good = math.max(good, (granted - 1) * 1000000 / math.max(now - b.lowered, b.last - b.lowered, 1))
end

-- Just under that. A call that was under way when the rate was lowered is one that
-- did not go well, and says nothing else.
local quiet = b.lowered and now - b.lowered
local level = math.min(in_force, 0.99 * good)
if not quiet or quiet > 200000 then level = 0.99 * math.min(in_force, good) end
level = math.min(math.max(level, in_force / 2, ceiling / 100), ceiling)

if not quiet or quiet > 2 * climb(b) or level < 0.5 * b.found or level > 1.5 * b.found then
    b.since, b.found = now, level
end
-- In a row, about: half of what was given out since may have gone well.
b.row = math.max((b.row or 0) - granted / 2, 0) + 1
b.level, b.lowered, b.granted = level, now, 0

-- Where the API does not say, a few in a row mean that it turns away for a while:
-- perhaps until its second ends.
local gate = tonumber(ARGV[4])
if gate == 0 and b.row > 2 then gate = math.min(math.floor(b.row * 1500000 / in_force), 250000) end
if gate > 0 then
    b.blocked = math.max(b.blocked or 0, now + gate)
    -- No process uses the slots before that.
    for c = cell + 1, math.min(math.floor((now + gate) / CELL) - 1, cell + AHEAD) do b.recent[c] = 0 end
end

save(b)
return {string.format(TIME, now), string.format(TIME, b.blocked or 0), string.format(RATE, rate(b, now))}
