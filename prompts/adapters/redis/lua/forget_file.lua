-- Nothing of a file is left. What is shown stays, and what has vector stores left.
--
-- RETURNS 1
assert(#KEYS == 3 and #ARGV == 1)
local file_key = KEYS[1] -- hash
local stores_key = KEYS[2] -- set
local due_key = KEYS[3] -- sorted set, of the partition
local file_id = ARGV[1]

if redis.call('HEXISTS', file_key, 'owner') == 1 or redis.call('EXISTS', stores_key) == 1 then return 1 end
redis.call('UNLINK', file_key)
redis.call('ZREM', due_key, file_id)
return 1
