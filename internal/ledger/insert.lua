-- Functions that write new jobs' records. Package enqueue calls them in one script
-- with asynq's own enqueueing.

-- standing looks for a job's record. It returns nil if there is none, and false if
-- this very try wrote it before and only the reply was lost; else the record's head,
-- whether it has the same request, and its priority.
local function standing(key, rev, sealed)
  local head = redis.call('HGET', key, 'head')
  if not head then
    return nil
  elseif string.find(head, '1 queued ' .. rev .. ' ', 1, true) == 1 then
    return false
  end
  local f = redis.call('HMGET', key, 'request', 'priority')
  return head, f[1] == sealed, f[2] or ''
end

-- newHead is the head of a new job's record.
local function newHead(rev, batch, now)
  return '1 queued ' .. rev .. ' ' .. now .. ' 0 ' .. now .. ' ' .. batch
end

-- insert writes a new job's record ('' = normal priority).
local function insert(key, head, sealed, priority)
  redis.call('HSET', key, 'head', head, 'request', sealed)
  if priority ~= '' then
    redis.call('HSET', key, 'priority', priority)
  end
end

-- book enters new jobs into the index of queued jobs and the counts, all at once. It
-- comes before insert: if Redis refuses it, no job stands there that nobody finds.
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
