-- Tell how many answers of an owner a replica runs. It holds for a while only, so that a replica that dies runs none.
--
-- RETURNS 1; the same call again moves the deadline
-- INCLUDES clock
assert(#KEYS == 1 and #ARGV == 3)
local running_key = KEYS[1] -- hash, of the owner: replica → "answers deadline"
local replica_id = ARGV[1]
local answers = tonumber(ARGV[2])
local lease_ms = tonumber(ARGV[3])

if answers == 0 then
  redis.call('HDEL', running_key, replica_id)
else
  redis.call('HSET', running_key, replica_id, string.format('%d %.0f', answers, read_clock_ms() + lease_ms))
  if redis.call('PTTL', running_key) < lease_ms then redis.call('PEXPIRE', running_key, lease_ms) end
end
return 1
