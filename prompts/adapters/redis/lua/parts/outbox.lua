-- The outbox says what the archive has to copy: a thing once, however often it changes, with the time of its last change in
-- microseconds. So it never holds more than there are things. Without an archive nothing is noted. While one is closed only
-- what is gone is: SQL still has it, and would restore it when the archive is open again.
--
-- `conv:<id>`, `resp:<id>`: it has changed. `gone:conv:<id>`, `gone:resp:<id>`, `gone:chain:<timeline>`, `gone:item:<id>`:
-- it was erased, and must not stay in the archive. `all:<member of expiry>`: a root, with all that hangs on it.
-- `let_go:<member of expiry>`: likewise, and its time in Redis is over.
local function read_clock_us()
  local clock = redis.call('TIME')
  return clock[1] .. string.format('%06d', clock[2])
end

local function note_change(prefix, member)
  local since_ms, is_closed = unpack(redis.call('HMGET', prefix .. 'archive', 'since_ms', 'closed'))
  if not since_ms or (is_closed and string.sub(member, 1, 5) ~= 'gone:') then return end
  redis.call('ZADD', prefix .. 'outbox', read_clock_us(), member)
end

-- The same, of what has a hash.
local function note_hash(prefix, key)
  note_change(prefix, string.sub(key, #prefix + 1))
end
