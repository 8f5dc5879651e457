-- Change what is known of a file in a vector store. The caller gets the work of telling the index, with a lease; when
-- somebody else is at work on the file, they do it, or leave it to the next.
--
-- RETURNS {"ok", epoch, filename, chunking}, epoch "" when there is nothing for the caller to do | {"not_found"}
--         | {"expired"} | {"unknown_file"}
-- INCLUDES vector_stores
assert(#KEYS == 2 and #ARGV == 7)
local store_key = KEYS[1] -- hash
local indexing_key = KEYS[2] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local store_id = ARGV[3]
local file_id = ARGV[4]
local attributes = ARGV[5] -- JSON
local lease_ms = tonumber(ARGV[6])
local call_id = ARGV[7]

local now_ms = read_clock_ms()
local found_owner, is_expired = find_store(store_key, owner, now_ms)
if not found_owner then return {'not_found'} end
if is_expired then return {'expired'} end
local file_key = prefix .. 'vsf:' .. store_id .. ':' .. file_id
local status, former, epoch, filename, chunking =
  unpack(redis.call('HMGET', file_key, 'status', 'attributes', 'epoch', 'filename', 'chunking'))
if not status then return {'unknown_file'} end
if epoch == '0.' .. call_id then return {'ok', epoch, filename, chunking} end -- the same call again
if former == attributes then return {'ok', '', filename, chunking} end
count_bytes(prefix, owner, file_key, #attributes - #former)
redis.call('HSET', file_key, 'attributes', attributes)
-- Whoever ends the work on a file sees that its attributes have changed.
if status ~= 'completed' or epoch then return {'ok', '', filename, chunking} end
epoch = '0.' .. call_id
redis.call('HSET', file_key, 'epoch', epoch)
redis.call('ZADD', store_key .. ':work', now_ms + lease_ms, file_id)
plan_work(indexing_key, store_key, store_id, 0)
return {'ok', epoch, filename, chunking}
