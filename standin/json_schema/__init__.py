"""Values that are valid for a JSON schema."""
