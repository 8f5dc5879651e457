-- Take the next file of a partition that waits to be indexed, or whose holder was lost. Vector stores take turns.
--
-- An epoch is a count and the id of the call that raised it, as a run's.
--
-- RETURNS {store, file, owner, epoch, filename, attributes, chunking, status, tries}; the same call again gives the same
--         | {} nothing waits | {1} look again
-- INCLUDES vector_stores
assert(#KEYS == 2 and #ARGV == 6)
local indexing_key = KEYS[1] -- sorted set, of the partition
local unindexing_key = KEYS[2] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local lease_ms = tonumber(ARGV[2])
local call_id = ARGV[3]
local call_kept_s = ARGV[4]
local max_holders = tonumber(ARGV[5]) -- that may be lost with a file
local lost_error = ARGV[6] -- JSON: of a file that has lost so many

-- Before a file is looked at again whose former passages are being erased.
local ERASED_IN_MS = 200
local LOOKS = 20

local now_ms = read_clock_ms()

local function describe(store_key, file_key, store_id, file_id)
  local filename, attributes, chunking, status, tries, epoch =
    unpack(redis.call('HMGET', file_key, 'filename', 'attributes', 'chunking', 'status', 'tries', 'epoch'))
  local owner = redis.call('HGET', store_key, 'owner')
  if not owner or not epoch then return nil end
  return {store_id, file_id, owner, epoch, filename, attributes, chunking, status, tonumber(tries or 0)}
end

-- RETURNS the reply when the file is taken | nil when it needs no work, or not now
local function take(store_key, store_id, file_id, is_expired)
  local file_key, work_key = prefix .. 'vsf:' .. store_id .. ':' .. file_id, store_key .. ':work'
  local status, epoch, lost = unpack(redis.call('HMGET', file_key, 'status', 'epoch', 'lost'))
  if status ~= 'in_progress' and status ~= 'completed' then
    redis.call('ZREM', work_key, file_id)
    return nil
  end
  if redis.call('ZSCORE', unindexing_key, store_id .. ' ' .. file_id) then
    redis.call('ZADD', work_key, now_ms + ERASED_IN_MS, file_id)
    return nil
  end
  lost = tonumber(lost or 0) + (epoch and 1 or 0) -- who puts it off, or ends it, has no epoch any more
  if is_expired or lost >= max_holders then
    if status == 'in_progress' then
      if not is_expired then redis.call('HSET', file_key, 'error', lost_error) end
      move_file(prefix, store_key, file_key, file_id, is_expired and 'cancelled' or 'failed')
    end
    redis.call('HDEL', file_key, 'epoch', 'lost', 'tries')
    redis.call('ZREM', work_key, file_id)
    -- A lost holder may have put half of it.
    if status == 'in_progress' then redis.call('ZADD', unindexing_key, now_ms, store_id .. ' ' .. file_id) end
    return nil
  end
  epoch = string.format('%d.%s', tonumber(string.match(epoch or '', '^%d+') or 0) + 1, call_id)
  redis.call('HSET', file_key, 'epoch', epoch, 'lost', lost)
  redis.call('ZADD', work_key, now_ms + lease_ms, file_id)
  redis.call('SET', prefix .. 'seized:' .. call_id, store_id .. ' ' .. file_id, 'EX', call_kept_s)
  return describe(store_key, file_key, store_id, file_id)
end

local earlier_store, earlier_file = string.match(redis.call('GET', prefix .. 'seized:' .. call_id) or '', '^(%S+) (%S+)$')
if earlier_store then
  local file_key = prefix .. 'vsf:' .. earlier_store .. ':' .. earlier_file
  return describe(prefix .. 'vs:' .. earlier_store, file_key, earlier_store, earlier_file) or {1}
end
for _ = 1, LOOKS do
  local store_id = redis.call('ZRANGEBYSCORE', indexing_key, '-inf', now_ms, 'LIMIT', 0, 1)[1]
  if not store_id then return {} end
  local store_key = prefix .. 'vs:' .. store_id
  local owner, is_expired = find_store(store_key, '', now_ms)
  local first = redis.call('ZRANGE', store_key .. ':work', 0, 0, 'WITHSCORES')
  local taken
  if owner and first[1] and tonumber(first[2]) <= now_ms then
    taken = take(store_key, store_id, first[1], is_expired)
  end
  if owner then
    plan_work(indexing_key, store_key, store_id, taken and now_ms or 0)
  else
    redis.call('ZREM', indexing_key, store_id)
  end
  if taken then return taken end
end
return {1}
