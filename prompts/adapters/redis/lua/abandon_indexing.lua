-- What a stale holder may have put into the index is due for erasure, where the file is not in the vector store.
--
-- RETURNS 1
-- INCLUDES vector_stores
assert(#KEYS == 3 and #ARGV == 2)
local store_key = KEYS[1] -- hash
local file_key = KEYS[2] -- hash
local unindexing_key = KEYS[3] -- sorted set, of the partition
local store_id = ARGV[1]
local file_id = ARGV[2]

local now_ms = read_clock_ms()
local owner, is_expired = find_store(store_key, '', now_ms)
local status = redis.call('HGET', file_key, 'status')
if not owner or is_expired then
  redis.call('ZADD', unindexing_key, now_ms, store_id)
elseif status ~= 'in_progress' and status ~= 'completed' then
  redis.call('ZADD', unindexing_key, now_ms, store_id .. ' ' .. file_id)
end
return 1
