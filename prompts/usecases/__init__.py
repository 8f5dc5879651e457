"""What a client can ask for: plain async functions that take the ports they use."""
