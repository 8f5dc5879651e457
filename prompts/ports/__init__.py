"""What the core needs from the outside: Protocols that the adapters implement, and the values that cross them.

All of them raise `prompts.errors.ServiceError`s and nothing else that is foreign; cancelling a call leaves nothing half
done beyond what its docstring says.
"""
