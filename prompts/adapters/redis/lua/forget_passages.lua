-- The index has them no more. Of a deleted vector store, erase one slice; it is called again until nothing is left.
--
-- RETURNS 1 more of the store is left, or the file has been put in again | 0
-- INCLUDES vector_stores
assert(#KEYS == 2 and #ARGV == 5)
local store_key = KEYS[1] -- hash
local unindexing_key = KEYS[2] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local store_id = ARGV[2]
local file_id = ARGV[3] -- "": the whole store
local max_files = tonumber(ARGV[4]) -- of the slice
local tombstone_s = ARGV[5]

-- A batch's keys are freed in the background: this many at once take a fraction of a millisecond.
local BATCHES = 10

if file_id ~= '' then
  redis.call('ZREM', unindexing_key, store_id .. ' ' .. file_id)
  return redis.call('EXISTS', prefix .. 'vsf:' .. store_id .. ':' .. file_id)
end
local owner, erasing, deleted = unpack(redis.call('HMGET', store_key, 'owner', 'erasing', 'deleted'))
if owner or not erasing then -- expired: what is known of it stays until it is deleted | erased already
  redis.call('ZREM', unindexing_key, store_id)
  return 0
end

local function erase_sets(key)
  for _, set in ipairs(FILE_SETS) do redis.call('UNLINK', key .. ':' .. set) end
  redis.call('UNLINK', key .. ':work', key .. ':batches')
end

local files = redis.call('ZRANGE', store_key .. ':files', 0, max_files - 1)
for _, left in ipairs(files) do
  erase_holder(prefix, erasing, prefix .. 'vsf:' .. store_id .. ':' .. left)
  redis.call('ZREM', store_key .. ':files', left)
  redis.call('ZREM', unindexing_key, store_id .. ' ' .. left)
end
if #files > 0 then return 1 end
local batches = redis.call('SPOP', store_key .. ':batches', BATCHES)
for _, batch_id in ipairs(batches) do
  erase_holder(prefix, erasing, prefix .. 'vsfb:' .. batch_id)
  erase_sets(prefix .. 'vsfb:' .. batch_id)
end
if #batches > 0 then return 1 end
erase_sets(store_key)
erase_holder(prefix, erasing, store_key)
redis.call('HSET', store_key, 'deleted', deleted)
redis.call('EXPIRE', store_key, tombstone_s)
redis.call('ZREM', unindexing_key, store_id)
return 0
