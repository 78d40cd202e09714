-- Functions on one asynq task. A place is a queue that may hold the task: lists are
-- the queue's keys (pending, active, lease, scheduled, retry, archived, completed),
-- and task is the key of the task's hash in that queue.

-- live reports whether a worker will still get the task in this place. The hash can
-- vanish by eviction, the entry in a list by a lost reply, the lease by a failover,
-- and asynq never runs an archived task.
local function live(place, id)
  local f, lists = redis.call('HMGET', place.task, 'msg', 'state'), place.lists
  if not f[1] then
    return false
  elseif f[2] == 'pending' then
    return redis.call('LPOS', lists[1], id) and true or false
  elseif f[2] == 'active' then
    return redis.call('ZSCORE', lists[3], id) and redis.call('LPOS', lists[2], id) and true or false
  elseif f[2] == 'scheduled' then
    return redis.call('ZSCORE', lists[4], id) and true or false
  elseif f[2] == 'retry' then
    return redis.call('ZSCORE', lists[5], id) and true or false
  end
  return false
end

-- clear deletes the remains of a dead task. A task without a hash may still be in a
-- list; clear searches the lists only for an old task, since it walks the pending list.
local function clear(place, id, old)
  if redis.call('DEL', place.task) == 0 and not old then
    return
  end
  for i, list in ipairs(place.lists) do
    redis.call(i <= 2 and 'LREM' or 'ZREM', list, unpack(i <= 2 and {0, id} or {id}))
  end
end

-- ensure enqueues the task by asynq's own script (KEYS, ARGV), which puts it into
-- the first of the places, unless it is live in one of them. It clears the remains
-- from the others. Returns whether it enqueued.
local function ensure(places, KEYS, ARGV, id, old)
  local alive, dead = false, {}
  for _, place in ipairs(places) do
    if live(place, id) then
      alive = true
    else
      dead[#dead + 1] = place
    end
  end
  for _, place in ipairs(dead) do
    clear(place, id, old and not alive)
  end
  if not alive then
    enqueue(KEYS, ARGV)
  end
  return not alive
end
