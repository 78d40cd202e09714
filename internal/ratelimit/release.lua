-- Gives back the last N slots, if no process has booked since.
--
-- ARGV[4-6]  last as the booking returned it, n, interval us
-- returns    {now, 1 if they were given back}, as text
local n, interval = tonumber(ARGV[5]), tonumber(ARGV[6])
local b = load()
local same = b.last and string.format(TIME, b.last) == ARGV[4]
if same then
    b.last = b.last - n * interval
    tally(b, b.last + interval, interval, n, -1)
    save(b)
end
return {string.format(TIME, now), same and "1" or "0"}
