"""The ports' implementations, one technology a file; only `config/clients.py` imports them."""
