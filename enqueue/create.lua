-- Writes new jobs: record and task together. See package enqueue.
-- KEYS: the queue's seven lists, then for each job the keys of insert and of asynq.
-- ARGV: number of jobs, of insert's keys and arguments, of asynq's keys and
--   arguments for each job, then for each job both lists of arguments.
-- Returns for each job '' if it is new, the head of the record that stands there
-- if it has the same request, and '!' with that head if it has another.
local jobs, ik, ia, ak, aa = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local LISTS = {unpack(KEYS, 1, 7)}
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local k, a, out = 7, 5, {}
for i = 1, jobs do
  local insertKeys, insertArgs = {unpack(KEYS, k + 1, k + ik)}, {unpack(ARGV, a + 1, a + ia)}
  local head, same = insert(insertKeys, insertArgs, now)
  if not head then
    out[i] = ''
    ensure(LISTS, {unpack(KEYS, k + ik + 1, k + ik + ak)}, {unpack(ARGV, a + ia + 1, a + ia + aa)}, insertArgs[1], false)
  elseif same then
    out[i] = head
  else
    out[i] = '!' .. head
  end
  k, a = k + ik + ak, a + ia + aa
end
return out
