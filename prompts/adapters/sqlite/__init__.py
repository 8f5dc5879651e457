"""SQLite, the knowledge index of a single machine."""
