"""The outside world: knows nothing of tables, features or other adapters."""
