-- Have nothing noted any more but what is deleted: SQL still has it. Where there never was an archive, nothing is noted.
--
-- RETURNS 1 closed | 0 there is none; the same call again the same
assert(#KEYS == 2 and #ARGV == 0)
local archive_key = KEYS[1] -- hash
local outbox_key = KEYS[2] -- sorted set

if redis.call('EXISTS', archive_key) == 0 then return 0 end
if redis.call('HSETNX', archive_key, 'closed', 1) == 0 then return 1 end
local gone = {}
for _, subject in ipairs(redis.call('ZRANGE', outbox_key, 0, -1)) do
  if string.sub(subject, 1, 5) == 'gone:' then gone[#gone + 1] = subject end
end
redis.call('UNLINK', outbox_key)
for _, subject in ipairs(gone) do redis.call('ZADD', outbox_key, 0, subject) end
return 1
