-- Functions that write new jobs' records. Package queue calls them in one script
-- with asynq's own enqueueing.

-- standing looks for a job's record. It returns nil if there is none, and false if
-- this very try wrote it before and only the reply was lost; else the record's head,
-- whether it has the same request, and its priority.
local function standing(key, rev, request)
  local record = stored(key)
  if not record then
    return nil
  end
  local mine = newest .. ' queued ' .. rev .. ' '
  if string.sub(record, 1, #mine) == mine then
    return false
  end
  local head, priority, _, sealed = split(record)
  return head or record, sealed == request, priority or ''
end

-- newHead is the head of a new job's record.
local function newHead(rev, batch, now)
  return newest .. ' queued ' .. rev .. ' ' .. now .. ' 0 ' .. now .. ' ' .. batch
end

-- insert writes new jobs' records: keys and records in turn.
local function insert(records)
  redis.call('MSET', unpack(records))
end

-- book enters new jobs into the index of queued jobs and the counts, all at once. It
-- comes before insert: if Redis refuses it, no job exists that is not listed.
-- keys: index of queued jobs, counts, batches. batches holds for each batch its
-- name, the key of its counts and the number of its new jobs.
local function book(keys, ids, batches, now)
  local members = {}
  for i, id in ipairs(ids) do
    members[2 * i - 1], members[2 * i] = now, id
  end
  redis.call('ZADD', keys[1], unpack(members))
  redis.call('HINCRBY', keys[2], 'queued', #ids)
  for _, b in pairs(batches) do
    redis.call('HINCRBY', b.count, 'queued', b.n)
    redis.call('PERSIST', b.count)
    redis.call('ZADD', keys[3], now, b.name)
  end
end
