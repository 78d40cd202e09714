-- Puts back those of one queue's tasks that no worker will get any more.
-- KEYS: the seven lists of the queue, and of the other queue that may hold the tasks
--   if there is one; then for each task asynq's keys, and its hash in the other queue.
-- ARGV: number of tasks, of asynq's keys and arguments for each, of queues, '1' if
--   the tasks may be old ones, the channel to wake, the queue's name, then for each
--   task its ID and asynq's arguments.
-- Returns how many were put back.
local n, ak, aa, queues = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local old, channel, name = ARGV[5] == '1', ARGV[6], ARGV[7]
local lists = {}
for q = 1, queues do
  lists[q] = {unpack(KEYS, 7 * q - 6, 7 * q)}
end
local k, a, back = 7 * queues, 7, 0
for _ = 1, n do
  local places = {{lists = lists[1], task = KEYS[k + 1]}}
  if queues == 2 then
    places[2] = {lists = lists[2], task = KEYS[k + ak + 1]}
  end
  if ensure(places, {unpack(KEYS, k + 1, k + ak)}, {unpack(ARGV, a + 2, a + 1 + aa)}, ARGV[a + 1], old) then
    back = back + 1
  end
  k, a = k + ak + queues - 1, a + 1 + aa
end
if back > 0 then
  wake(channel, name)
end
return back
