-- Delete a chain of responses: nothing joins it from this moment. What it holds is erased in slices, see erase.lua.
--
-- RETURNS 1 deleted; the same call again says the same | 0 unknown, another owner's, or used meanwhile
-- INCLUDES outbox
assert(#KEYS == 2 and #ARGV == 5)
local meta_key = KEYS[1] -- hash: of its root
local expiry_key = KEYS[2] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local member = ARGV[3] -- of the expiry
local found_due_ms = ARGV[4] -- "": delete it in any case; else only when it is due then, unused since that was read
local call_id = ARGV[5]

local found_owner, expiry, deleted = unpack(redis.call('HMGET', meta_key, 'owner', 'expiry', 'deleted'))
if deleted == call_id then return 1 end
local due_ms = redis.call('ZSCORE', expiry_key, member)
if found_owner ~= owner or expiry ~= member or not due_ms then return 0 end
if found_due_ms ~= '' and tonumber(due_ms) ~= tonumber(found_due_ms) then return 0 end

-- A root without `expiry` is being erased: nothing joins it any more.
redis.call('HDEL', meta_key, 'expiry')
redis.call('ZADD', expiry_key, 0, member)
redis.call('HSET', meta_key, 'deleted', call_id)
note_change(prefix, 'gone:' .. member)
return 1
