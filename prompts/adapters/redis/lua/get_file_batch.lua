-- A batch of files and how many of them stand where, at one moment.
--
-- RETURNS {created ms, 1 cancelled | 0, in progress, completed, failed, cancelled, total} | {} unknown batch
--         | {0} unknown store, or another owner's
-- INCLUDES vector_stores
assert(#KEYS == 2 and #ARGV == 2)
local store_key = KEYS[1] -- hash
local batch_key = KEYS[2] -- hash
local owner = ARGV[1]
local store_id = ARGV[2]

if not find_store(store_key, owner, read_clock_ms()) then return {0} end
local found_store, created_ms, cancelled = unpack(redis.call('HMGET', batch_key, 'store', 'created_ms', 'cancelled'))
if found_store ~= store_id then return {} end
return add_counts({tonumber(created_ms), cancelled and 1 or 0}, batch_key)
