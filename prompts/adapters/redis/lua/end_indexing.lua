-- A file is indexed, or cannot be. Attributes that have changed since its work began are the next work.
--
-- RETURNS 1 ended; the same call again says the same | 0 it is another's, or not wanted any more
-- INCLUDES vector_stores
assert(#KEYS == 4 and #ARGV == 8)
local store_key = KEYS[1] -- hash
local file_key = KEYS[2] -- hash
local indexing_key = KEYS[3] -- sorted set, of the partition
local unindexing_key = KEYS[4] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local store_id = ARGV[2]
local file_id = ARGV[3]
local epoch = ARGV[4]
local usage_bytes = tonumber(ARGV[5]) -- of its text; -1: as before
local error = ARGV[6] -- JSON; "" when it is indexed
local attributes = ARGV[7] -- JSON: those that the index was told
local index_name = ARGV[8] -- the index that has it now

local now_ms = read_clock_ms()
local found_epoch, ended, status, now_attributes =
  unpack(redis.call('HMGET', file_key, 'epoch', 'ended', 'status', 'attributes'))
if ended == epoch then return 1 end
local owner, is_expired = find_store(store_key, '', now_ms)
if found_epoch ~= epoch or not owner or is_expired then return 0 end
if usage_bytes >= 0 then count_usage(store_key, file_key, usage_bytes) end
if status == 'in_progress' then
  if error ~= '' then
    redis.call('HSET', file_key, 'error', error)
    -- Half of it may be in the index, or what it was before.
    redis.call('ZADD', unindexing_key, now_ms, store_id .. ' ' .. file_id)
  else
    redis.call('HSET', file_key, 'index', index_name)
  end
  move_file(prefix, store_key, file_key, file_id, error == '' and 'completed' or 'failed')
end
redis.call('HDEL', file_key, 'epoch', 'lost', 'tries', 'put_off')
redis.call('HSET', file_key, 'ended', epoch)
if error == '' and now_attributes ~= attributes then
  redis.call('ZADD', store_key .. ':work', now_ms, file_id)
else
  redis.call('ZREM', store_key .. ':work', file_id)
end
plan_work(indexing_key, store_key, store_id, 0)
return 1
