"""A reply on its way to the client: cut into tokens, streamed or whole, with the faults that were asked for."""
