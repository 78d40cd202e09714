-- split takes a record apart: head, priority, progress and sealed request. It returns
-- nothing for what is no record.
local function split(record)
  return string.match(record, '^([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$')
end

local function join(head, priority, progress, sealed)
  return table.concat({head, priority, progress, sealed}, '\n')
end
