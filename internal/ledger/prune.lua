-- Drops the members of a list whose key is gone.
-- KEYS: list, then each member's key. ARGV: the members. Returns how many it dropped.
local dropped = 0
for i, member in ipairs(ARGV) do
  if redis.call('EXISTS', KEYS[1 + i]) == 0 then
    dropped = dropped + redis.call('ZREM', KEYS[1], member)
  end
end
return dropped
