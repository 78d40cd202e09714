-- Writes new jobs of one account: records and tasks together.
-- KEYS: the seven lists of the account's normal queue and of its high one; the three
--   keys of book; for each run the counts of its batch; for each job its record and
--   its task's hash.
-- ARGV: the channel to wake; the names of the two queues; the share of maxmemory
--   above which nothing new is written ('0' = none); the name of the try; asynq's
--   time; '1' if no ID comes twice; the number of runs.
--   For each run of successive jobs: how many, their priority and batch.
--   For each job: its ID, its sealed request and asynq's message of its task.
-- Returns 'ok', and for each job that exists its number, and '=' if the existing
-- record has the same request and '!' if it has another, with that record's
-- priority, a space and its head. Or 'full', used_memory and maxmemory: then nothing
-- was written.
local channel, share, try, stamp, distinct = ARGV[1], tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7] == '1'
local runs = tonumber(ARGV[8])
local queues = {
  {name = ARGV[2], lists = {unpack(KEYS, 1, 7)}},
  {name = ARGV[3], lists = {unpack(KEYS, 8, 14)}},
}
local a, k = 8, 17
local runOf = {}
for r = 1, runs do
  local run = {priority = ARGV[a + 2], batch = ARGV[a + 3], count = KEYS[k + r]}
  run.queue = queues[run.priority == '' and 1 or 2]
  for _ = 1, tonumber(ARGV[a + 1]) do
    runOf[#runOf + 1] = run
  end
  a = a + 3
end
k = k + runs
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
-- Mostly none of the keys exists. One command asks that, and not one for each job.
fresh = distinct and redis.call('EXISTS', unpack(KEYS, k + 1, k + 2 * #runOf)) == 0
local head, first = {}, {} -- of new jobs: the heads by number, the numbers by ID
local due, ids, batches, out = {}, {}, {}, {'ok'} -- due: numbers of the jobs that need a task
for i, run in ipairs(runOf) do
  local id, sealed = ARGV[a + 3 * i - 2], ARGV[a + 3 * i - 1]
  local found, same, priority
  if not fresh then
    local twin = first[id]
    if twin then
      found, same, priority = head[twin], sealed == ARGV[a + 3 * twin - 1], runOf[twin].priority
    else
      found, same, priority = standing(KEYS[k + 2 * i - 1], try .. i, sealed)
    end
  end
  if found then
    out[#out + 1], out[#out + 2] = tostring(i), (same and '=' or '!') .. priority .. ' ' .. found
  else
    due[#due + 1] = i
    if found == nil then
      head[i], ids[#ids + 1] = newHead(try .. i, run.batch, now), id
      if not fresh then
        first[id] = i
      end
      if run.batch ~= '' then
        local b = batches[run.batch] or {name = run.batch, count = run.count, n = 0}
        batches[run.batch], b.n = b, b.n + 1
      end
    end
  end
end

if #ids > 0 then
  if share > 0 then
    local used, max = memory()
    if used > share * max then
      return {'full', string.format('%.0f', used), string.format('%.0f', max)}
    end
  end
  book({unpack(KEYS, 15, 17)}, ids, batches, now)
  local records = {}
  for _, i in ipairs(due) do
    if head[i] then
      records[#records + 1] = KEYS[k + 2 * i - 1]
      records[#records + 1] = join(head[i], runOf[i].priority, '', ARGV[a + 3 * i - 1])
    end
  end
  insert(records)
end
local taskKeys, taskArgs = {}, {nil, nil, stamp}
for _, i in ipairs(due) do
  local run, id, task = runOf[i], ARGV[a + 3 * i - 2], KEYS[k + 2 * i]
  local queue = run.queue
  taskKeys[1], taskKeys[2] = task, queue.lists[1]
  taskArgs[1], taskArgs[2] = ARGV[a + 3 * i], id
  if enqueue(taskKeys, taskArgs) == 1 then
    queue.grew = true
  else
    -- The task's hash exists. A new job's task is in no other queue, so ensure
    -- reads its own queue alone.
    queue.grew = ensure({{lists = queue.lists, task = task}}, taskKeys, taskArgs, id, false) or queue.grew
  end
end
pushAll()
for _, queue in ipairs(queues) do
  if queue.grew then
    wake(channel, queue.name)
  end
end
return out
