-- Make a conversation that shares another's history up to a position: O(1), whatever the history's length.
--
-- RETURNS {"ok", made ms}; the same call again changes nothing | {"not_found"} | {"unknown_item"}
--         | {"too_deep"} the history stands on too many forks
-- INCLUDES account clock expiry outbox places timelines
assert(#KEYS == 3 and #ARGV == 11)
local conversation_key = KEYS[1] -- hash: the new one
local origin_key = KEYS[2] -- hash: the conversation it is forked from
local expiry_key = KEYS[3] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local conversation_id = ARGV[3]
local origin_id = ARGV[4]
local timeline = ARGV[5] -- a fresh id
local side = ARGV[6] -- "before" | "after" the item; "": all of the history
local item_id = ARGV[7]
local retention_ms = tonumber(ARGV[8])
local own_metadata = ARGV[9] -- JSON; "": its origin's
local own_title = ARGV[10] -- "" for none
local has_title = ARGV[11] == '1' -- false: its origin's

local created_ms, deleted = unpack(redis.call('HMGET', conversation_key, 'created_ms', 'deleted'))
if created_ms then return {'ok', tonumber(created_ms)} end
if deleted then return {'not_found'} end
local found_owner, origin_timeline, head, metadata, title =
  unpack(redis.call('HMGET', origin_key, 'owner', 'timeline', 'head', 'metadata', 'title'))
if found_owner ~= owner then return {'not_found'} end
if own_metadata ~= '' then metadata = own_metadata end
if has_title then title = own_title end
-- A conversation's timeline is its own root.
local expiry = find_expiry(prefix, expiry_key, origin_timeline)
if not expiry then return {'not_found'} end

-- The timeline that the fork hangs on, and how much of it they share.
local parent, position = origin_timeline, tonumber(head)
if side ~= '' then
  local item_timeline, item_position = find_place(prefix .. 'item:' .. item_id)
  if not is_in_history(prefix, parent, position, item_timeline, item_position) then return {'unknown_item'} end
  parent, position = item_timeline, side == 'before' and item_position - 1 or item_position
end
-- A timeline that gives no item of its own is passed over, so that forks of forks do not make every turn walk them all.
local grandparent, shared = find_parent(prefix, parent)
while grandparent and position <= shared do
  parent = grandparent
  grandparent, shared = find_parent(prefix, parent)
end
local depth = find_depth(prefix, parent)
if depth >= MAX_DEPTH then return {'too_deep'} end

local now_ms = read_clock_ms()
-- A root of its own, so that it can be erased alone; and a part of its origin, with which it lives and goes.
redis.call('HSET', prefix .. 'tl:' .. timeline .. ':meta', 'length', position, 'root', timeline, 'parent', parent,
  'parent_position', position, 'conversation', conversation_id, 'owner', owner, 'expiry', expiry,
  'origin', origin_timeline, 'depth', depth + 1)
count_bytes(prefix, owner, prefix .. 'tl:' .. timeline .. ':meta', BYTES_A_HOLDER + #metadata + #(title or ''))
redis.call('SADD', prefix .. 'tl:' .. origin_timeline .. ':parts', 'conv:' .. conversation_id)
redis.call('HSET', conversation_key, 'v', 1, 'owner', owner, 'metadata', metadata, 'timeline', timeline,
  'head', position, 'active', '', 'created_ms', now_ms, 'used_ms', now_ms, 'forked_from', origin_id)
if title then redis.call('HSET', conversation_key, 'title', title) end
redis.call('ZADD', prefix .. 'forks:' .. origin_id, now_ms, conversation_id)
redis.call('ZADD', expiry_key, now_ms + retention_ms, expiry)
note_hash(prefix, conversation_key)
return {'ok', now_ms}
