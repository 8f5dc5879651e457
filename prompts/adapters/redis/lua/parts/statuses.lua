-- The statuses of a response that a turn can continue from: those whose items have joined a timeline.
local CONTINUABLE = { completed = true, incomplete = true, cancelled = true }

