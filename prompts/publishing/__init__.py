"""What lives in SQL and is read from Redis: the published copies are made to agree with SQL."""
