-- Delete a vector store: it is gone from this moment. What it has left is erased in slices, see forget_passages.lua.
--
-- RETURNS 1 deleted; the same call again says the same | 0 unknown, or another owner's
-- INCLUDES vector_stores
assert(#KEYS == 3 and #ARGV == 3)
local store_key = KEYS[1] -- hash
local indexing_key = KEYS[2] -- sorted set, of the partition
local unindexing_key = KEYS[3] -- sorted set, of the partition
local owner = ARGV[1]
local store_id = ARGV[2]
local call_id = ARGV[3]

local now_ms = read_clock_ms()
if not find_store(store_key, owner, now_ms) then
  return redis.call('HGET', store_key, 'deleted') == call_id and 1 or 0
end
-- Whoever indexes a file of it has stopped when the lease is over.
local last = redis.call('ZRANGE', store_key .. ':work', -1, -1, 'WITHSCORES')
redis.call('HDEL', store_key, 'owner')
redis.call('UNLINK', store_key .. ':work')
redis.call('HSET', store_key, 'deleted', call_id, 'erasing', owner)
redis.call('ZREM', indexing_key, store_id)
redis.call('ZADD', unindexing_key, math.max(now_ms, tonumber(last[2] or 0)), store_id)
return 1
