"""The values the service speaks of: frozen, with the specification's names."""
