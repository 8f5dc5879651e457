-- Append items to a conversation that no response is writing to.
--
-- RETURNS {"ok"}; the same call again changes nothing | {"not_found"} | {"locked", response id}
--         | {"unknown_call", call id} | {"moved"} what was staged does not continue the history any more
--         | {"too_deep"} the history stands on too many timelines
-- INCLUDES calls clock expiry items outbox staged timelines
assert(#KEYS == 2 and #ARGV == 9)
local conversation_key = KEYS[1] -- hash
local expiry_key = KEYS[2] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local items = cjson.decode(ARGV[3]) -- array of {id, item JSON, tokens, call id or "", kept or ""}
local unanswered = cjson.decode(ARGV[4]) -- ids of calls that the history must hold
local retention_ms = tonumber(ARGV[5])
local conversation_id = ARGV[6]
local staged = ARGV[7] -- id of the timeline that has the items instead, or ""
local staged_length = tonumber(ARGV[8]) -- where it ends
local staged_behind = tonumber(ARGV[9]) -- the head that it was staged behind

local found_owner, active, timeline, head =
  unpack(redis.call('HMGET', conversation_key, 'owner', 'active', 'timeline', 'head'))
if found_owner ~= owner then return {'not_found'} end
if staged ~= '' then
  if redis.call('HGET', prefix .. 'tl:' .. staged .. ':meta', 'conversation') == conversation_id then return {'ok'} end
elseif #items == 0 or redis.call('EXISTS', prefix .. 'item:' .. items[1][1]) == 1 then
  return {'ok'}
end
if active ~= '' then return {'locked', active} end
-- A conversation's timeline is its own root.
local expiry = find_expiry(prefix, expiry_key, timeline)
if not expiry then return {'not_found'} end
local missing = find_missing_calls(prefix, timeline, tonumber(head), unanswered)
if #missing > 0 then return {'unknown_call', missing[1]} end

local now_ms = read_clock_ms()
if staged == '' then
  head = append_items(prefix, owner, timeline, tonumber(head), items)
else
  if find_depth(prefix, timeline) >= MAX_DEPTH then return {'too_deep'} end
  if tonumber(head) ~= staged_behind or not is_staged(prefix, staged, staged_length) then return {'moved'} end
  join_conversation(prefix, expiry_key, staged, conversation_id, timeline, staged_behind)
  head = staged_length
end
redis.call('HSET', conversation_key, 'head', head, 'used_ms', now_ms)
redis.call('ZADD', expiry_key, now_ms + retention_ms, expiry)
note_hash(prefix, conversation_key)
return {'ok'}
