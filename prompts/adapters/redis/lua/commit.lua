-- End a response, by the run that writes it or by whoever has taken it from its run.
--
-- RETURNS 1 ended, or ended before by this epoch | 0 the run is stale, or the timeline is being erased
--         | 2 what was staged is not there any more
--         | -N the log ends at the number N, before the last signals: a fail-over has lost the log's end
-- INCLUDES ending
assert(#KEYS == 4 and #ARGV == 17)
local response_key = KEYS[1] -- hash
local log_key = KEYS[2] -- stream: its event log
local leases_key = KEYS[3] -- sorted set, of the partition
local expiry_key = KEYS[4] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local response_id = ARGV[2]
local epoch = ARGV[3]
local status = ARGV[4] -- how it ends
local result = ARGV[5] -- JSON
local failure = ARGV[6] -- JSON; "" when it did not fail
local after = tonumber(ARGV[7]) -- last sequence number before the last signals
local last_number = ARGV[8] -- last sequence number of all
local signals = ARGV[9] -- the last ones: JSON array
local items = cjson.decode(ARGV[10]) -- array of {id, item JSON, tokens, call id or "", kept or ""}; empty: the timeline stays
local fresh_timeline = ARGV[11] -- id, for a fork
local log_retention_s = ARGV[12] -- how long the log is kept from now on
local retention_ms = tonumber(ARGV[13]) -- how long the history is kept from now on
local staged = ARGV[14] -- id of the timeline that has the items instead, or ""
local staged_length = tonumber(ARGV[15]) -- where it ends
local passages = ARGV[16] -- JSON array of what the model was given; "" when it was given none
local first_token_ms = ARGV[17] -- how long its first word took; "" when no process knows

return end_response(prefix, response_key, log_key, leases_key, expiry_key, {
  response_id = response_id, epoch = epoch, status = status, result = result, failure = failure, after = after,
  last_number = last_number, signals = signals, items = items, fresh_timeline = fresh_timeline,
  log_retention_s = log_retention_s, retention_ms = retention_ms, staged = staged, staged_length = staged_length,
  passages = passages, first_token_ms = first_token_ms })
