"""The service: conversations, responses, and how a turn runs."""
