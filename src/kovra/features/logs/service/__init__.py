"""Reading logs: live, past, and both as one."""
