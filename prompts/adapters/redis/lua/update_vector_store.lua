-- Change what is given of a vector store.
--
-- RETURNS 1 changed | 0 unknown, or another owner's | -1 expired
-- INCLUDES vector_stores
assert(#KEYS == 2 and #ARGV == 6)
local store_key = KEYS[1] -- hash
local unindexing_key = KEYS[2] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local store_id = ARGV[3]
local name = ARGV[4] -- JSON; "": stays as it is
local metadata = ARGV[5] -- JSON; "": stays as it is
local days = ARGV[6] -- "never" from now on; "": stays as it is

local now_ms = read_clock_ms()
local found_owner, is_expired = find_store(store_key, owner, now_ms)
if not found_owner then return 0 end
if is_expired then return -1 end
for field, value in pairs({name = name, metadata = metadata}) do
  if value ~= '' then
    count_bytes(prefix, owner, store_key, #value - #(redis.call('HGET', store_key, field) or ''))
    redis.call('HSET', store_key, field, value)
  end
end
if days == 'never' then
  redis.call('HDEL', store_key, 'days')
elseif days ~= '' then
  redis.call('HSET', store_key, 'days', days)
end
use_store(store_key, unindexing_key, store_id, now_ms)
return 1
