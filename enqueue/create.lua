-- Writes new jobs of one account: record and task together. See package enqueue.
-- KEYS: the seven lists of the account's normal queue and of its high one, then
--   for each job the keys of insert and of asynq.
-- ARGV: number of jobs, of insert's keys and arguments, of asynq's keys and
--   arguments for each job, the channel to wake, the names of the two queues, then
--   for each job both lists of arguments.
-- Returns for each job '' if it is new. Else '=' if the record that stands there
-- has the same request and '!' if it has another, then that record's priority, a
-- space and its head.
local jobs, ik, ia, ak, aa = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local channel = ARGV[6]
local normal = {name = ARGV[7], lists = {unpack(KEYS, 1, 7)}}
local high = {name = ARGV[8], lists = {unpack(KEYS, 8, 14)}}
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local k, a, out = 14, 8, {}
for i = 1, jobs do
  local insertKeys, insertArgs = {unpack(KEYS, k + 1, k + ik)}, {unpack(ARGV, a + 1, a + ia)}
  local head, same, priority = insert(insertKeys, insertArgs, now)
  if not head then
    out[i] = ''
    local queue, taskKeys = insertArgs[5] == '' and normal or high, {unpack(KEYS, k + ik + 1, k + ik + ak)}
    -- A new job's task stands nowhere, so only its own queue is looked at.
    local place = {lists = queue.lists, task = taskKeys[1]}
    queue.grew = ensure({place}, taskKeys, {unpack(ARGV, a + ia + 1, a + ia + aa)}, insertArgs[1], false) or queue.grew
  else
    out[i] = (same and '=' or '!') .. priority .. ' ' .. head
  end
  k, a = k + ik + ak, a + ia + aa
end
for _, queue in ipairs({normal, high}) do
  if queue.grew then
    wake(channel, queue.name)
  end
end
return out
