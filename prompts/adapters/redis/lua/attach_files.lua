-- Put some files into a vector store, to be indexed. One that is there already, with the same attributes and chunking,
-- stays as it is, unless it is not indexed and will not be, or another index has it.
--
-- RETURNS {"ok"} | {"not_found"} | {"expired"} | {"busy", file}: it waits in too many batches already
-- INCLUDES vector_stores
assert(#KEYS == 3 and #ARGV == 7)
local store_key = KEYS[1] -- hash
local indexing_key = KEYS[2] -- sorted set, of the partition
local unindexing_key = KEYS[3] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local store_id = ARGV[3]
local batch_id = ARGV[4] -- the batch that they are of; "" for none
local files = cjson.decode(ARGV[5]) -- array of {id, filename, attributes JSON, chunking JSON}
local max_batches = tonumber(ARGV[6]) -- that one file may wait in
local index_name = ARGV[7] -- the index that is used now

-- What one more member of the sorted sets takes, about.
local BYTES_A_MEMBER = 200

local now_ms = read_clock_ms()
local found_owner, is_expired = find_store(store_key, owner, now_ms)
if not found_owner then return {'not_found'} end
if is_expired then return {'expired'} end
local batch_key = prefix .. 'vsfb:' .. batch_id

local function put_in(file_id, filename, attributes, chunking)
  local file_key = prefix .. 'vsf:' .. store_id .. ':' .. file_id
  local status, former, former_chunking, former_index =
    unpack(redis.call('HMGET', file_key, 'status', 'attributes', 'chunking', 'index'))
  local is_indexed = status == 'completed' and former_index == index_name
  if (status == 'in_progress' or is_indexed) and former == attributes and former_chunking == chunking then
    return file_key
  end
  if not status then
    local place = redis.call('HINCRBY', store_key, 'places', 1)
    redis.call('HSET', file_key, 'v', 1, 'place', place, 'created_ms', now_ms, 'filename', filename)
    redis.call('ZADD', store_key .. ':files', place, file_id)
    count_bytes(prefix, owner, file_key, BYTES_A_HOLDER + BYTES_A_MEMBER + #filename)
  end
  count_bytes(prefix, owner, file_key, #attributes - #(former or ''))
  -- Whoever indexes it now, as it was, stops: only then may it begin anew.
  local begin_ms = find_quiet_ms(store_key, file_key, file_id, now_ms)
  redis.call('HSET', file_key, 'attributes', attributes, 'chunking', chunking, 'quiet_ms', begin_ms)
  redis.call('HDEL', file_key, 'error', 'epoch', 'lost', 'tries')
  move_file(prefix, store_key, file_key, file_id, 'in_progress')
  redis.call('ZADD', store_key .. ':work', begin_ms, file_id)
  return file_key
end

-- RETURNS whether the file may wait in this batch as well
local function join_batch(file_key, file_id)
  local status, place, batches = unpack(redis.call('HMGET', file_key, 'status', 'place', 'batches'))
  if redis.call('ZSCORE', batch_key .. ':files', file_id) then return true end
  if status == 'in_progress' then
    local _, count = string.gsub(batches or '', '%S+', '')
    if count >= max_batches then return false end
    redis.call('HSET', file_key, 'batches', (batches or '') .. ' ' .. batch_id)
  end
  redis.call('ZADD', batch_key .. ':files', place, file_id)
  redis.call('ZADD', batch_key .. ':' .. status, place, file_id)
  count_bytes(prefix, owner, batch_key, BYTES_A_MEMBER)
  return true
end

if batch_id ~= '' and redis.call('EXISTS', batch_key) == 0 then
  count_bytes(prefix, owner, batch_key, BYTES_A_HOLDER)
  redis.call('HSET', batch_key, 'v', 1, 'store', store_id, 'created_ms', now_ms)
  redis.call('SADD', store_key .. ':batches', batch_id)
end
local busy
for _, file in ipairs(files) do
  local file_key = put_in(unpack(file))
  if batch_id ~= '' and not join_batch(file_key, file[1]) then busy = file[1] break end
end
use_store(store_key, unindexing_key, store_id, now_ms)
plan_work(indexing_key, store_key, store_id, 0)
return busy and {'busy', busy} or {'ok'}
