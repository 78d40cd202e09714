-- Puts back tasks whose worker is gone, as the next that a worker takes.
-- KEYS: pending, active and lease of the queue, then each task's hash.
-- ARGV: the channel to wake, the queue's name; then for each task its ID and the
--   end of its lease as the caller read it.
-- Returns how many were put back.
local pending, active, leases = KEYS[1], KEYS[2], KEYS[3]
local t = redis.call('TIME')
local back = 0
for i = 1, #KEYS - 3 do
  local task, id, seen = KEYS[3 + i], ARGV[2 * i + 1], ARGV[2 * i + 2]
  local ends = redis.call('ZSCORE', leases, id)
  -- A lease that has moved belongs to a live worker, or to the next one. asynq cannot
  -- run a task without its message: the sweeper writes a new one.
  if ends and tonumber(ends) == tonumber(seen) and redis.call('HEXISTS', task, 'msg') == 1
    and redis.call('LREM', active, 0, id) > 0 then
    redis.call('ZREM', leases, id)
    redis.call('RPUSH', pending, id) -- asynq takes from the right
    redis.call('HSET', task, 'state', 'pending', 'pending_since', string.format('%s%06d000', t[1], t[2]))
    back = back + 1
  end
end
if back > 0 then
  wake(ARGV[1], ARGV[2])
end
return back
