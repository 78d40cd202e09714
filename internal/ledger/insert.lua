-- The body of a function of (KEYS, ARGV, now) that writes a new job's record.
-- KEYS: record, index of queued jobs, counts, counts of the batch, batches.
-- ARGV: id, revision, request, batch, priority ('' = normal).
-- Returns the head of the record that stands there already, else false; whether
-- that one has the same request; and its priority.
local head = redis.call('HGET', KEYS[1], 'head')
if head then
  if string.find(head, '1 queued ' .. ARGV[2] .. ' ', 1, true) == 1 then
    return false -- written before; only the reply was lost
  end
  return head, redis.call('HGET', KEYS[1], 'request') == ARGV[3], redis.call('HGET', KEYS[1], 'priority') or ''
end
redis.call('HSET', KEYS[1],
  'head', '1 queued ' .. ARGV[2] .. ' ' .. now .. ' 0 ' .. now .. ' ' .. ARGV[4],
  'request', ARGV[3])
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], 'priority', ARGV[5])
end
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('HINCRBY', KEYS[3], 'queued', 1)
if ARGV[4] ~= '' then
  redis.call('HINCRBY', KEYS[4], 'queued', 1)
  redis.call('PERSIST', KEYS[4])
  redis.call('ZADD', KEYS[5], now, ARGV[4])
end
return false
