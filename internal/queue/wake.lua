-- wake publishes that a queue has work. A Redis user without the right to publish
-- loses only speed: workers also poll.
local function wake(channel, queue)
  redis.pcall('PUBLISH', channel, queue)
end
