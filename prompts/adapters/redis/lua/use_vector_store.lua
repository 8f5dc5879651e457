-- Note that a vector store is used now.
--
-- RETURNS 1 | 0 unknown, or another owner's | -1 expired
-- INCLUDES vector_stores
assert(#KEYS == 2 and #ARGV == 2)
local store_key = KEYS[1] -- hash
local unindexing_key = KEYS[2] -- sorted set, of the partition
local owner = ARGV[1]
local store_id = ARGV[2]

local now_ms = read_clock_ms()
local found_owner, is_expired = find_store(store_key, owner, now_ms)
if not found_owner then return 0 end
if is_expired then return -1 end
use_store(store_key, unindexing_key, store_id, now_ms)
return 1
