"""What the stand-in says: pure functions of a request."""
