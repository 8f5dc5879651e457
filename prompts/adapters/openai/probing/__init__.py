"""Asks a model's server what it can, for whoever is to configure it."""
