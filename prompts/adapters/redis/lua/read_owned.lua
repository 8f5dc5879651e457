-- Fields of a hash that is this owner's. The owner is looked at first: reading megabytes of another's response would tell
-- by its time that it is there.
--
-- RETURNS {} not there, or another owner's | {a field or false, …}, in the order of their names
assert(#KEYS == 1 and #ARGV == 2)
local key = KEYS[1] -- hash
local owner = ARGV[1]
local fields = ARGV[2] -- JSON array of names, a few

if redis.call('HGET', key, 'owner') ~= owner then return {} end
return redis.call('HMGET', key, unpack(cjson.decode(fields)))
