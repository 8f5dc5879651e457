"""The bodies of requests: what a client may write, and what is read from it."""
