"""The archive: what Redis holds, copied to SQL; and what is read from there."""
