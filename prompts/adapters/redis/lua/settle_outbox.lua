-- Take out of a partition's outbox what the archive has copied, unless it has changed since; and give back the lease.
--
-- RETURNS 1; the same call again changes nothing
-- INCLUDES outbox
assert(#KEYS == 3 and #ARGV == 5)
local outbox_key = KEYS[1] -- sorted set
local lease_key = KEYS[2] -- string: the token and the epoch of who holds it
local expiry_key = KEYS[3] -- sorted set, of the partition
local token = ARGV[1] -- of the archiver
local settled = cjson.decode(ARGV[2]) -- array of {member, its time µs}
local let_go = cjson.decode(ARGV[3]) -- array of members of the expiry: these may be erased if they still wait
local postponed = cjson.decode(ARGV[4]) -- array of {member, its time µs}: these could not be copied
local postponed_us = tonumber(ARGV[5]) -- how much later they are tried again

local function is_unchanged(noted)
  local found = redis.call('ZSCORE', outbox_key, noted[1])
  return found and tonumber(found) == tonumber(noted[2])
end

for _, member in ipairs(let_go) do
  local due_ms = redis.call('ZSCORE', expiry_key, member)
  if due_ms and tonumber(due_ms) % 1 ~= 0 then redis.call('ZADD', expiry_key, 0, member) end -- parts/letting_go.lua
end
for _, each in ipairs(settled) do
  if is_unchanged(each) then redis.call('ZREM', outbox_key, each[1]) end
end
for _, each in ipairs(postponed) do
  if is_unchanged(each) then
    redis.call('ZADD', outbox_key, tonumber(read_clock_us()) + postponed_us, each[1])
  end
end
if string.match(redis.call('GET', lease_key) or '', '^%S+') == token then redis.call('DEL', lease_key) end
return 1
