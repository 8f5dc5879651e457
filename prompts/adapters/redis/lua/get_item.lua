-- One stored item of an owner, whatever history it is part of.
--
-- RETURNS {item, timeline, position} | {} unknown, or another owner's
-- INCLUDES entries places whole
assert(#KEYS == 1 and #ARGV == 2)
local item_key = KEYS[1] -- string
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]

local timeline, position = find_place(item_key)
if not timeline then return {} end
local root = redis.call('HGET', prefix .. 'tl:' .. timeline .. ':meta', 'root')
if not root then return {} end
local found_owner, expiry = unpack(redis.call('HMGET', prefix .. 'tl:' .. root .. ':meta', 'owner', 'expiry'))
if found_owner ~= owner or not expiry then return {} end -- a root without `expiry` is being erased
local entry = read_batch(prefix, timeline, position, position, 1, 1)[1]
if not entry then return {} end
return {entry[5] and read_whole(entry[5]) or point_to(timeline, position, entry[3]), timeline, position}
