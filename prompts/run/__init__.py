"""A run, from its admission to its end: written, followed, handed over, taken over."""
