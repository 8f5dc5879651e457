-- Hand a response over: its lease ends now, so that another replica takes it over at once.
--
-- KEYS 1 the response (hash)   2 the partition's leases (zset)
-- ARGV 1 response id   2 epoch   3 the channel that wakes those who look after lost responses
--      4 "failed": it is not to be continued but to be ended; "": it is to be continued
-- RETURNS 1 released | 0 the run is stale
local resp_key, leases_key = KEYS[1], KEYS[2]
local resp_id, epoch, channel, ending = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local resp = redis.call('HMGET', resp_key, 'epoch', 'status')
if resp[1] ~= epoch or resp[2] ~= 'in_progress' then return 0 end
redis.call('HSET', resp_key, 'released', 1)
if ending ~= '' then redis.call('HSET', resp_key, 'ending', ending) end
redis.call('ZADD', leases_key, 0, resp_id)
redis.call('PUBLISH', channel, resp_id)
return 1
