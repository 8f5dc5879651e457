-- A new conversation that shares another's history up to a position: O(1), whatever its length.
--
-- KEYS 1 the new conversation (hash)   2 the origin (hash)   3 the partition's expiry (zset)
-- ARGV 1 prefix of the partition's keys   2 owner   3 new conversation id   4 a fresh timeline id   5 origin's id
--      6 "before" | "after" | "" (all of it)   7 item id   8 retention, ms
-- RETURNS {"ok", made ms}; the same call again changes nothing | {"not_found"} | {"unknown_item"}
-- INCLUDES clock expiry places timelines
local conv_key, origin_key, expiry_key = KEYS[1], KEYS[2], KEYS[3]
local prefix, owner, conv_id, timeline, origin_id, side, item_id =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local retention_ms = tonumber(ARGV[8])

local made = redis.call('HMGET', conv_key, 'created_ms', 'deleted')
if made[1] then return {'ok', tonumber(made[1])} end
if made[2] then return {'not_found'} end
local origin = redis.call('HMGET', origin_key, 'owner', 'timeline', 'head', 'metadata', 'title')
if origin[1] ~= owner then return {'not_found'} end
local root = origin[2]
local expiry = find_expiry(prefix, expiry_key, root)
if not expiry then return {'not_found'} end

-- The stretch the fork hangs on: where the item is, if that is part of the origin's history.
local parent, position = root, tonumber(origin[3])
if side ~= '' then
  local item_timeline, item_position = find_place(prefix .. 'item:' .. item_id)
  if not is_in_history(prefix, parent, position, item_timeline, item_position) then return {'unknown_item'} end
  parent, position = item_timeline, side == 'before' and item_position - 1 or item_position
end
-- A stretch that gives nothing of its own is passed over, so that forks of forks do not make every turn walk them all.
local grandparent, from = find_parent(prefix, parent)
while grandparent and position <= from do
  parent = grandparent
  grandparent, from = find_parent(prefix, parent)
end

local now_ms = read_clock_ms()
-- A root of its own, so that it can be erased alone; and a part of its origin, with which it lives and goes.
redis.call('HSET', prefix .. 'tl:' .. timeline .. ':meta', 'length', position, 'root', timeline, 'parent', parent,
  'parent_position', position, 'conversation', conv_id, 'owner', owner, 'expiry', expiry, 'origin', root)
redis.call('SADD', prefix .. 'tl:' .. root .. ':parts', 'conv:' .. conv_id)
redis.call('HSET', conv_key, 'v', 1, 'owner', owner, 'metadata', origin[4], 'timeline', timeline, 'head', position,
  'active', '', 'created_ms', now_ms, 'used_ms', now_ms, 'forked_from', origin_id)
if origin[5] then redis.call('HSET', conv_key, 'title', origin[5]) end
redis.call('ZADD', expiry_key, now_ms + retention_ms, expiry)
return {'ok', now_ms}
