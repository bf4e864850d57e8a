"""Parts of the soak: what is deployed and may come of it, what is disturbed meanwhile, what must be left at the end."""
