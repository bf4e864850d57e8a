"""HTTP plumbing shared by all features: guard, sessions, problems, limits, idempotency."""
