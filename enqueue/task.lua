-- Functions on one asynq task. A place is where a task may stand: the keys of a
-- queue (pending, active, lease, scheduled, retry, archived, completed) as lists,
-- and the task's hash in that queue as task.

-- live says whether asynq still has the task on its way to a worker: its hash
-- can vanish by eviction, its entry in a list by a lost reply, its lease by a
-- failover, and an archived task runs no more.
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

-- clear takes away what is left of a dead task. One that has no hash may still
-- stand in a list; that is looked for only if the task is an old one, since it
-- costs a walk along the pending list.
local function clear(place, id, old)
  if redis.call('DEL', place.task) == 0 and not old then
    return
  end
  for i, list in ipairs(place.lists) do
    redis.call(i <= 2 and 'LREM' or 'ZREM', list, unpack(i <= 2 and {0, id} or {id}))
  end
end

-- ensure enqueues the task by asynq's own script (KEYS, ARGV), which puts it into
-- the first of the places, unless it is live in any of them. What is left of it
-- where it is dead is cleared away. Returns whether it enqueued.
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
    asynq(KEYS, ARGV)
  end
  return not alive
end

-- wake tells whoever listens that a queue has work. A user of Redis who may not
-- say so loses nothing but that: workers look by themselves too.
local function wake(channel, queue)
  redis.pcall('PUBLISH', channel, queue)
end
