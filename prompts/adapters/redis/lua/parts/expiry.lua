-- The member of the partition's expiry that a root lives by. Nil when the root, or what it hangs on, is being erased:
-- then nothing may join it any more.
local function find_expiry(prefix, expiry_key, root)
  local expiry = redis.call('HGET', prefix .. 'tl:' .. root .. ':meta', 'expiry')
  if expiry and redis.call('ZSCORE', expiry_key, expiry) then return expiry end
  return nil
end

