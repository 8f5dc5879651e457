-- Make a vector store.
--
-- RETURNS when it was made, ms; the same call again changes nothing
-- INCLUDES vector_stores
assert(#KEYS == 2 and #ARGV == 7)
local store_key = KEYS[1] -- hash
local unindexing_key = KEYS[2] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local store_id = ARGV[3]
local name = ARGV[4] -- JSON
local description = ARGV[5] -- JSON
local metadata = ARGV[6] -- JSON
local days = ARGV[7] -- without use, after which it expires; "" for never

local now_ms = read_clock_ms()
local created_ms, deleted = unpack(redis.call('HMGET', store_key, 'created_ms', 'deleted'))
if created_ms then return tonumber(created_ms) end
if deleted then return now_ms end -- made, and deleted since

count_bytes(prefix, owner, store_key, BYTES_A_HOLDER + #name + #description + #metadata)
redis.call('HSET', store_key, 'v', 1, 'owner', owner, 'name', name, 'description', description, 'metadata', metadata,
  'created_ms', now_ms, 'usage_bytes', 0)
if days ~= '' then redis.call('HSET', store_key, 'days', days) end
use_store(store_key, unindexing_key, store_id, now_ms)
return now_ms
