-- Delete what was let go and is in the archive only: it is not restored from this moment.
--
-- RETURNS 1 | 0 something of it is there, or is being restored; then nothing is changed
-- INCLUDES outbox
assert(#KEYS == 1 and #ARGV == 4)
local expiry_key = KEYS[1] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local members = cjson.decode(ARGV[2]) -- array of `conv:<id>` and `chain:<root>`, all of a family
local call_id = ARGV[3]
local tombstone_s = ARGV[4] -- how long a tombstone stays

for _, member in ipairs(members) do
  if redis.call('ZSCORE', expiry_key, member) then return 0 end
  if string.sub(member, 1, 5) == 'conv:' and redis.call('HEXISTS', prefix .. member, 'owner') == 1 then return 0 end
end
for _, member in ipairs(members) do
  if string.sub(member, 1, 5) == 'conv:' then
    redis.call('HDEL', prefix .. member, 'let_go')
    redis.call('HSET', prefix .. member, 'deleted', call_id)
    redis.call('EXPIRE', prefix .. member, tombstone_s)
  end
  note_change(prefix, 'gone:' .. member)
end
return 1
