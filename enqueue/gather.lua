-- What asynq's script calls in the place of two commands, where many tasks are
-- enqueued at once: exists, which knows the answer if nothing stands there of any task
-- (fresh), and gather, whose pushes push does with one command for each list.
local fresh, gathered = false, {}
local function exists(key)
  return fresh and 0 or redis.call('EXISTS', key)
end
local function gather(list, id)
  local ids = gathered[list] or {}
  gathered[list], ids[#ids + 1] = ids, id
end
local function push()
  for list, ids in pairs(gathered) do
    redis.call('LPUSH', list, unpack(ids))
  end
end
