-- Lets no slot start within DURATION. It never shortens a pause.
--
-- ARGV[4]  duration us
-- returns  {now, blocked}, as text
local b = load()
b.blocked = math.max(b.blocked or 0, now + tonumber(ARGV[4]))
save(b)
return {string.format(TIME, now), string.format(TIME, b.blocked)}
