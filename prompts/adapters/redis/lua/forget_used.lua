-- Forget when keys were used, but for those that were used again since.
--
-- RETURNS how many were forgotten
assert(#KEYS == 1 and #ARGV == 1)
local used_key = KEYS[1] -- hash: hash of a key → when it was used last, in seconds
local used = cjson.decode(ARGV[1]) -- object: the times that may be forgotten, by the hashes

local forgotten = 0
for key_hash, used_s in pairs(used) do
  if tonumber(redis.call('HGET', used_key, key_hash) or -1) == used_s then
    forgotten = forgotten + redis.call('HDEL', used_key, key_hash)
  end
end
return forgotten
