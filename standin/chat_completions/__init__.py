"""The Chat Completions protocol: reading a request, writing an answer."""
