"""Durable jobs on the same PostgreSQL: enqueued in the caller's transaction, run by the worker."""
