-- What asynq's script calls in the place of two commands, where one script enqueues
-- many tasks: exists, which knows the answer if Redis has no key of any of the tasks
-- (fresh), and collect, whose IDs pushAll pushes with one command for each list.
local fresh, collected = false, {}
local function exists(key)
  return fresh and 0 or redis.call('EXISTS', key)
end
local function collect(list, id)
  local ids = collected[list] or {}
  collected[list], ids[#ids + 1] = ids, id
end
local function pushAll()
  for list, ids in pairs(collected) do
    redis.call('LPUSH', list, unpack(ids))
  end
end
