"""An organization's credentials for private registries: stored sealed, opened by the worker alone."""
