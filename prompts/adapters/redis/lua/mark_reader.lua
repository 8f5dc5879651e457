-- Mark a response as read by somebody, or renew the mark.
--
-- RETURNS 1; the same call again moves the deadline
-- INCLUDES clock readers
assert(#KEYS == 1 and #ARGV == 2)
local readers_key = KEYS[1] -- sorted set
local reader_id = ARGV[1]
local lease_ms = tonumber(ARGV[2]) -- how long the mark holds without a renewal

mark_reader(readers_key, reader_id, read_clock_ms(), lease_ms)
return 1
