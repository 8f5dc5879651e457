"""Measures how fast the service is, as ratios within one run: `make bench`. README.md says how to read them."""
