-- Take the lock of a family that is to be restored, unless it is there, was deleted, or is still being erased. Until
-- finish_restore.lua lets it be found, it is due to be erased: so whatever a killed process has written goes by itself.
--
-- RETURNS "ok"; the same call again the same | "there" | "gone" it was deleted, or its family is there without it | "busy" it
--         is restored or erased right now, or the archive does not know yet of something that was deleted
-- INCLUDES clock expiry
assert(#KEYS == 4 and #ARGV == 6)
local subject_key = KEYS[1] -- hash: what was asked for
local lock_key = KEYS[2] -- string: the token of who restores
local expiry_key = KEYS[3] -- sorted set, of the partition
local outbox_key = KEYS[4] -- sorted set
local prefix = ARGV[1] -- of the partition's keys
local token = ARGV[2]
local lock_ms = ARGV[3]
local staged_ms = tonumber(ARGV[4]) -- how long what is not finished is kept
local conversations = cjson.decode(ARGV[5]) -- array of ids, all of the family
local roots = cjson.decode(ARGV[6]) -- array of timelines, all of the family

-- Far more notes than this wait only while SQL is away; then nothing is restored.
local MAX_NOTES = 500

if redis.call('HEXISTS', subject_key, 'owner') == 1 then return 'there' end
for _, id in ipairs(conversations) do
  local owner, deleted, let_go, timeline =
    unpack(redis.call('HMGET', prefix .. 'conv:' .. id, 'owner', 'deleted', 'let_go', 'timeline'))
  if owner then return timeline and find_expiry(prefix, expiry_key, timeline) and 'gone' or 'busy' end
  -- A fork that went with its origin has an empty mark: its origin says why.
  if deleted and deleted ~= '' and not let_go then return 'gone' end
end
local notes = redis.call('ZRANGE', outbox_key, 0, MAX_NOTES)
if #notes > MAX_NOTES then return 'busy' end
for _, subject in ipairs(notes) do
  if string.sub(subject, 1, 5) == 'gone:' then return 'busy' end
end
local holder = redis.call('GET', lock_key)
if holder and holder ~= token then return 'busy' end
for _, root in ipairs(roots) do
  local found, owner, expiry = unpack(redis.call('HMGET', prefix .. 'tl:' .. root .. ':meta', 'root', 'owner', 'expiry'))
  -- Without an owner and due by itself: somebody has not come to the end of restoring it.
  if found and (owner or expiry ~= 'chain:' .. root) then
    return find_expiry(prefix, expiry_key, root) and 'gone' or 'busy'
  end
end

redis.call('SET', lock_key, token, 'PX', lock_ms)
local due_ms = read_clock_ms() + staged_ms
for _, root in ipairs(roots) do
  redis.call('ZADD', expiry_key, due_ms, 'chain:' .. root)
  redis.call('HSET', prefix .. 'tl:' .. root .. ':meta', 'root', root, 'expiry', 'chain:' .. root)
end
return 'ok'
