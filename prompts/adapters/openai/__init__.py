"""The model, behind OpenAI's client: Chat Completions and Responses."""
