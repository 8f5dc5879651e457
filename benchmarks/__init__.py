"""How fast the service is, as ratios in one run: `make bench`. README.md says what is measured and how to read it."""
