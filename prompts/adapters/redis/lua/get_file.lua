-- What is shown of a file.
--
-- RETURNS JSON | false unknown, deleted, expired, or another owner's
-- INCLUDES clock files
assert(#KEYS == 1 and #ARGV == 1)
local file_key = KEYS[1] -- hash
local owner = ARGV[1]

if not is_shown(file_key, owner, read_clock_ms()) then return false end
return redis.call('HGET', file_key, 'shown')
