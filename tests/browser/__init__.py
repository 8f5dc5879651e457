"""A package, so that pytest knows where the scope of its fixtures ends."""
