-- Puts back the tasks that are not on their way to a worker any more.
-- KEYS: the queue's seven lists, then for each task asynq's keys.
-- ARGV: number of tasks, of asynq's keys and arguments for each, '1' if they may
--   be old ones, then for each task its ID and asynq's arguments.
-- Returns how many were put back.
local n, ak, aa, old = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local LISTS = {unpack(KEYS, 1, 7)}
local k, a, back = 7, 4, 0
for _ = 1, n do
  if ensure(LISTS, {unpack(KEYS, k + 1, k + ak)}, {unpack(ARGV, a + 2, a + 1 + aa)}, ARGV[a + 1], old) then
    back = back + 1
  end
  k, a = k + ak, a + 1 + aa
end
return back
