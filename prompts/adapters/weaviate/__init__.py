"""Weaviate, the knowledge server."""
