-- Hand a response over: its lease ends now, so that another replica takes it over at once.
--
-- RETURNS 1 released | 0 the run is stale
assert(#KEYS == 2 and #ARGV == 4)
local response_key = KEYS[1] -- hash
local leases_key = KEYS[2] -- sorted set, of the partition
local response_id = ARGV[1]
local epoch = ARGV[2]
local ending = ARGV[3] -- "failed": end it; "": continue it
local lost_channel = ARGV[4] -- wakes the replicas that look for lost responses

local found_epoch, status = unpack(redis.call('HMGET', response_key, 'epoch', 'status'))
if found_epoch ~= epoch or status ~= 'in_progress' then return 0 end
redis.call('HSET', response_key, 'released', 1)
if ending ~= '' then redis.call('HSET', response_key, 'ending', ending) end
redis.call('ZADD', leases_key, 0, response_id)
redis.call('PUBLISH', lost_channel, response_id)
return 1
