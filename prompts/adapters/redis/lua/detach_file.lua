-- Take a file out of a vector store. Its passages are due for erasure.
--
-- RETURNS 1 taken out; the same call again says the same | 0 no such vector store | -1 the file is not in it
-- INCLUDES vector_stores
assert(#KEYS == 3 and #ARGV == 6)
local store_key = KEYS[1] -- hash
local indexing_key = KEYS[2] -- sorted set, of the partition
local unindexing_key = KEYS[3] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2] -- "": the file itself is gone
local store_id = ARGV[3]
local file_id = ARGV[4]
local call_id = ARGV[5]
local call_kept_s = ARGV[6]

local now_ms = read_clock_ms()
local found_owner = find_store(store_key, owner, now_ms)
if not found_owner then return 0 end
local file_key, gone_key = prefix .. 'vsf:' .. store_id .. ':' .. file_id, prefix .. 'gone:' .. store_id .. ':' .. file_id
local status, bytes = unpack(redis.call('HMGET', file_key, 'status', 'bytes'))
if not status then return redis.call('GET', gone_key) == call_id and 1 or -1 end

local quiet_ms = find_quiet_ms(store_key, file_key, file_id, now_ms)
count_usage(store_key, file_key, 0)
if status == 'in_progress' then move_file(prefix, store_key, file_key, file_id, 'cancelled') end
for _, set in ipairs(FILE_SETS) do redis.call('ZREM', store_key .. ':' .. set, file_id) end
redis.call('ZREM', store_key .. ':work', file_id)
redis.call('UNLINK', file_key)
free_bytes(prefix, found_owner, bytes)
plan_work(indexing_key, store_key, store_id, 0)
redis.call('ZADD', unindexing_key, quiet_ms, store_id .. ' ' .. file_id)
redis.call('SET', gone_key, call_id, 'EX', call_kept_s)
return 1
