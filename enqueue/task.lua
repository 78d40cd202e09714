-- Functions on one asynq task. LISTS are the queue's keys: pending, active,
-- lease, scheduled, retry, archived, completed.

-- live says whether asynq still has the task on its way to a worker: its hash
-- can vanish by eviction, its entry in a list by a lost reply, its lease by a
-- failover, and an archived task runs no more.
local function live(LISTS, key, id)
  local f = redis.call('HMGET', key, 'msg', 'state')
  if not f[1] then
    return false
  elseif f[2] == 'pending' then
    return redis.call('LPOS', LISTS[1], id) and true or false
  elseif f[2] == 'active' then
    return redis.call('ZSCORE', LISTS[3], id) and redis.call('LPOS', LISTS[2], id) and true or false
  elseif f[2] == 'scheduled' then
    return redis.call('ZSCORE', LISTS[4], id) and true or false
  elseif f[2] == 'retry' then
    return redis.call('ZSCORE', LISTS[5], id) and true or false
  end
  return false
end

-- ensure enqueues the task by asynq's own script (KEYS, ARGV) unless it is live,
-- and clears away what is left of a dead one first. A task that has no hash may
-- still stand in a list; that is looked for only if the task is an old one,
-- since it costs a walk along the pending list. Returns whether it enqueued.
local function ensure(LISTS, KEYS, ARGV, id, old)
  local key = KEYS[1]
  if redis.call('EXISTS', key) == 1 then
    if live(LISTS, key, id) then
      return false
    end
    redis.call('DEL', key)
    old = true
  end
  if old then
    for i, list in ipairs(LISTS) do
      redis.call(i <= 2 and 'LREM' or 'ZREM', list, unpack(i <= 2 and {0, id} or {id}))
    end
  end
  asynq(KEYS, ARGV)
  return true
end
