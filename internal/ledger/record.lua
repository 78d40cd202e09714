-- stored returns a record, false if there is none, and '?', which is none, for a value of
-- another kind: what nobody can read harms no other job of the same script.
local function stored(key)
  local record = redis.pcall('GET', key)
  return type(record) == 'table' and '?' or record
end

-- split takes a record apart: head, priority, progress and sealed request. It returns
-- nothing for what is no record.
local function split(record)
  return string.match(record, '^([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$')
end

local function join(head, priority, progress, sealed)
  return table.concat({head, priority, progress, sealed}, '\n')
end
