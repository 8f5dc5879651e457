-- One stored item of an owner, whatever history it is part of.
--
-- RETURNS {item, timeline, position} | {} unknown, or another owner's
-- INCLUDES places whole
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
local entry = redis.call('XRANGE', prefix .. 'tl:' .. timeline, position .. '-0', position .. '-0')[1]
if not entry then return {} end
return {read_whole(entry[2]), timeline, position}
