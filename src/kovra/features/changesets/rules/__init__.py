"""Pure rules: what is wanted, what differs, what it means."""
