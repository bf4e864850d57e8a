"""Pure rules of stored logs."""
