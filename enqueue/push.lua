-- What asynq's script calls Redis by where many tasks are enqueued at once: what it
-- pushes is gathered, and push does it, with one command for each list. Every other
-- command goes to Redis as it is.
local redis, pushed = redis, {}
function push()
  for list, ids in pairs(pushed) do
    redis.call('LPUSH', list, unpack(ids))
  end
end
local redis = {call = function(command, key, ...)
  if command ~= 'LPUSH' or select('#', ...) ~= 1 then
    return redis.call(command, key, ...)
  end
  local ids = pushed[key] or {}
  pushed[key], ids[#ids + 1] = ids, ...
end}
