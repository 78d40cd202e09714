-- What the scripts have in common; it stands before each of them. doc.go has the
-- fields of the hash.
--
-- KEYS[1]    the bucket
-- ARGV[1-3]  ceiling, burst, keep ms
--
-- Microseconds since 1970 are below 2^53, so a Lua number holds them exactly,
-- but its own text form would round them: hence "%.0f". Rates have the 17 digits
-- that bring back the same number, and a point, which miniredis's Lua needs.
local TIME, RATE, COUNT = "%.0f", "%.16e", "%.1f"
local ceiling, burst, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
-- recent counts in cells of a tenth of a second: the last ten, and some to come.
local CELL, CELLS, AHEAD = 100000, 10, 3

local t = redis.call("TIME")
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local cell = math.floor(now / CELL)

local FIELDS = {"last", "blocked", "lowered", "since", "seen", "found", "level", "ceiling", "granted", "row", "recent"}
local FORMATS = {TIME, TIME, TIME, TIME, TIME, RATE, RATE, RATE, COUNT, COUNT}

-- load returns the bucket; what it does not know is nil, but for recent.
local function load()
    local h, b = redis.call("HMGET", KEYS[1], unpack(FIELDS)), {recent = {}}
    for i = 1, #FORMATS do
        if h[i] then b[FIELDS[i]] = tonumber(h[i]) end
    end
    local c
    for word in string.gmatch(h[#FIELDS] or "", "%S+") do
        if c then b.recent[c] = tonumber(word) end
        c = c and c - 1 or tonumber(word)
    end

    -- The clock went back, or is another server's: what was ahead of the old
    -- time is as far ahead of the new one.
    local back = (b.seen or now) - now
    if back > 0 then
        for i, f in ipairs(FIELDS) do
            if FORMATS[i] == TIME and b[f] then b[f] = b[f] - back end
        end
        b.recent = {}
    end
    return b
end

-- climb is how long the rate takes from its level to the ceiling. The longer it
-- has stood at about that level, and the less there is to gain, the longer.
local function climb(b)
    local held = math.min(math.max((b.lowered - b.since) / 7, 4000000), 60000000)
    return held * math.min(math.max(0.5 * ceiling / (ceiling - b.level), 1), 3)
end

-- rate is the one in force at a time from now on: slowly up from the level, then
-- faster and faster.
local function rate(b, at)
    if not b.level or b.level >= ceiling then return ceiling end
    local x = (at - b.lowered) / climb(b)
    if x >= 1 then return ceiling end
    return b.level + (ceiling - b.level) * x * x * x
end

-- tally notes n slots as given out, or as given back if by is -1.
local function tally(b, first, interval, n, by)
    b.granted = math.max((b.granted or 0) + by * n, 0)
    for c = math.max(cell - CELLS, math.floor(first / CELL)), cell + AHEAD do
        -- How many start before the cell's end, and before its beginning.
        local ended = math.ceil(((c + 1) * CELL - first) / interval)
        local begun = math.ceil((c * CELL - first) / interval)
        b.recent[c] = (b.recent[c] or 0) + by * (math.min(ended, n) - math.min(math.max(begun, 0), n))
    end
end

local function save(b)
    b.seen = now
    local h = {}
    for i, format in ipairs(FORMATS) do
        local f = FIELDS[i]
        if b[f] then
            h[#h + 1] = f
            h[#h + 1] = string.format(format, b[f])
        end
    end
    local recent = {string.format(TIME, cell + AHEAD)}
    for c = cell + AHEAD, cell - CELLS, -1 do
        recent[#recent + 1] = string.format(TIME, b.recent[c] or 0)
    end
    redis.call("HSET", KEYS[1], "recent", table.concat(recent, " "), unpack(h))
    -- A bucket that vanished before its next slot would count as just used, each
    -- time anew.
    local busy = math.max(b.last or 0, b.blocked or 0, now) - now + burst * 1000000 / rate(b, now)
    redis.call("PEXPIRE", KEYS[1], string.format(TIME, math.ceil(busy / 1000) + keep))
end
