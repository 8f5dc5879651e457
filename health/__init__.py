"""Probes: whether this process may get traffic."""
