-- Of a batch, some of the files that are not indexed yet will not be. It is called again until none are left.
--
-- RETURNS how many are left | -1 no such batch | -2 no such vector store
-- INCLUDES vector_stores
assert(#KEYS == 4 and #ARGV == 4)
local store_key = KEYS[1] -- hash
local batch_key = KEYS[2] -- hash
local indexing_key = KEYS[3] -- sorted set, of the partition
local unindexing_key = KEYS[4] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local store_id = ARGV[3]
local max_files = tonumber(ARGV[4])

local now_ms = read_clock_ms()
if not find_store(store_key, owner, now_ms) then return -2 end
if redis.call('HGET', batch_key, 'store') ~= store_id then return -1 end
local waiting = redis.call('ZRANGE', batch_key .. ':in_progress', 0, max_files - 1)
if #waiting > 0 then redis.call('HSET', batch_key, 'cancelled', 1) end
for _, file_id in ipairs(waiting) do
  local file_key = prefix .. 'vsf:' .. store_id .. ':' .. file_id
  local quiet_ms = find_quiet_ms(store_key, file_key, file_id, now_ms)
  move_file(prefix, store_key, file_key, file_id, 'cancelled')
  count_usage(store_key, file_key, 0)
  redis.call('HDEL', file_key, 'epoch', 'lost', 'tries')
  redis.call('ZREM', store_key .. ':work', file_id)
  redis.call('ZADD', unindexing_key, quiet_ms, store_id .. ' ' .. file_id)
end
plan_work(indexing_key, store_key, store_id, 0)
return redis.call('ZCARD', batch_key .. ':in_progress')
