-- Keep the lease of a file that is being indexed, or let go of it: anybody may seize it after a while.
--
-- RETURNS 1 | 0 it is another's, or not wanted any more
-- INCLUDES vector_stores
assert(#KEYS == 3 and #ARGV == 6)
local store_key = KEYS[1] -- hash
local file_key = KEYS[2] -- hash
local indexing_key = KEYS[3] -- sorted set, of the partition
local store_id = ARGV[1]
local file_id = ARGV[2]
local epoch = ARGV[3]
local due_ms = tonumber(ARGV[4]) -- from now, when others may seize it
local has_let_go = ARGV[5] == '1'
local more_tries = ARGV[6] -- 1 when something was away

local now_ms = read_clock_ms()
local found_epoch, put_off = unpack(redis.call('HMGET', file_key, 'epoch', 'put_off'))
if has_let_go and put_off == epoch then return 1 end -- the same call again
local owner, is_expired = find_store(store_key, '', now_ms)
if found_epoch ~= epoch or not owner or is_expired then return 0 end
if has_let_go then
  redis.call('HDEL', file_key, 'epoch')
  redis.call('HSET', file_key, 'put_off', epoch)
  redis.call('HINCRBY', file_key, 'tries', more_tries)
end
redis.call('ZADD', store_key .. ':work', now_ms + due_ms, file_id)
plan_work(indexing_key, store_key, store_id, has_let_go and now_ms or 0)
return 1
