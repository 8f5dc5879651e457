-- INCLUDES account clock
-- How a vector store's files are counted and queued. A count is the size of a sorted set, so that it cannot be wrong.

local DAY_MS = 24 * 3600 * 1000
-- Of a vector store and of a batch: its files of each status, and all of them.
local FILE_SETS = {'in_progress', 'completed', 'failed', 'cancelled', 'files'}

-- Put how many files stand where behind what is in a reply, in this order.
local function add_counts(reply, key)
  for _, set in ipairs(FILE_SETS) do reply[#reply + 1] = redis.call('ZCARD', key .. ':' .. set) end
  return reply
end

-- RETURNS whose the vector store is, and whether it has expired; nil when it is unknown, deleted or not this owner's.
-- owner "": anybody's
local function find_store(store_key, owner, now_ms)
  local found_owner, used_ms, days = unpack(redis.call('HMGET', store_key, 'owner', 'used_ms', 'days'))
  if not found_owner or (owner ~= '' and found_owner ~= owner) then return nil end
  return found_owner, days and tonumber(used_ms) + tonumber(days) * DAY_MS <= now_ms
end

-- One that expires is due for erasure from the index so long after its last use.
local function plan_expiry(store_key, unindexing_key, store_id)
  local used_ms, days = unpack(redis.call('HMGET', store_key, 'used_ms', 'days'))
  if days then
    redis.call('ZADD', unindexing_key, tonumber(used_ms) + tonumber(days) * DAY_MS, store_id)
  else
    redis.call('ZREM', unindexing_key, store_id)
  end
end

local function use_store(store_key, unindexing_key, store_id, now_ms)
  redis.call('HSET', store_key, 'used_ms', now_ms)
  plan_expiry(store_key, unindexing_key, store_id)
end

-- The store's place in the queue of its partition follows from its own queue. It comes behind the others that wait now.
local function plan_work(indexing_key, store_key, store_id, not_before_ms)
  local first = redis.call('ZRANGE', store_key .. ':work', 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', indexing_key, math.max(tonumber(first[2]), not_before_ms), store_id)
  else
    redis.call('ZREM', indexing_key, store_id)
  end
end

-- A file stands elsewhere from now on: in its store, and in the batches that wait for it. Once it waits no more, it is
-- in these batches what it is now, whatever becomes of it.
local function move_file(prefix, store_key, file_key, file_id, to)
  local from, place, batches = unpack(redis.call('HMGET', file_key, 'status', 'place', 'batches'))
  redis.call('HSET', file_key, 'status', to)
  if from and from ~= to then redis.call('ZREM', store_key .. ':' .. from, file_id) end
  redis.call('ZADD', store_key .. ':' .. to, place, file_id)
  if to == 'in_progress' then return end
  for batch_id in string.gmatch(batches or '', '%S+') do
    local batch_key = prefix .. 'vsfb:' .. batch_id
    redis.call('ZREM', batch_key .. ':in_progress', file_id)
    redis.call('ZADD', batch_key .. ':' .. to, place, file_id)
  end
  redis.call('HDEL', file_key, 'batches')
end

-- From when on nobody is at work on a file: whoever indexes it now, or did before it was attached anew, has stopped when
-- the lease is over.
local function find_quiet_ms(store_key, file_key, file_id, now_ms)
  local epoch, quiet_ms = unpack(redis.call('HMGET', file_key, 'epoch', 'quiet_ms'))
  local lease_ms = epoch and redis.call('ZSCORE', store_key .. ':work', file_id)
  return math.max(now_ms, tonumber(quiet_ms or 0), tonumber(lease_ms or 0))
end

local function count_usage(store_key, file_key, usage_bytes)
  local former = tonumber(redis.call('HGET', file_key, 'usage_bytes') or 0)
  redis.call('HSET', file_key, 'usage_bytes', usage_bytes)
  redis.call('HINCRBY', store_key, 'usage_bytes', usage_bytes - former)
end
