"""The ports' implementations, one technology a file; only the composition root imports them (`config/clients.py`)."""
