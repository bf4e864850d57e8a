"""What everything stands on: errors, ids, the database, keys, the queue and web plumbing. Knows no feature."""
