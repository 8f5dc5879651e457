-- One stored item of an owner's, wherever it is.
--
-- KEYS 1 the item (string)
-- ARGV 1 prefix of the partition's keys   2 owner
-- RETURNS {item, timeline, position} | {} unknown, or another owner's
-- INCLUDES places
local prefix, owner = ARGV[1], ARGV[2]
local timeline, position = find_place(KEYS[1])
if not timeline then return {} end
local root = redis.call('HGET', prefix .. 'tl:' .. timeline .. ':meta', 'root')
if not root then return {} end
local meta = redis.call('HMGET', prefix .. 'tl:' .. root .. ':meta', 'owner', 'expiry')
if meta[1] ~= owner or not meta[2] then return {} end -- a root without `expiry` is being erased
local entry = redis.call('XRANGE', prefix .. 'tl:' .. timeline, position .. '-0', position .. '-0')[1]
if not entry then return {} end
return {entry[2][4], timeline, position} -- k, id, i, item
