-- stored returns a record, false if there is none, and '?', which is none, for a value of
-- another kind or of no byte: an unreadable record harms no other job of the same script.
local function stored(key)
  local record = redis.pcall('GET', key)
  return (type(record) == 'table' or record == '') and '?' or record
end

-- split takes a record apart: head, priority, progress and sealed request. It returns
-- nothing for what is no record.
local function split(record)
  return string.match(record, '^([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$')
end

-- readable says whether a record of a version is for the process that runs this:
-- newest and oldest stand in front of this file.
local function readable(v)
  return v == newest or v == oldest -- a version reads the one before
end

local function join(head, priority, progress, sealed)
  return table.concat({head, priority, progress, sealed}, '\n')
end
