"""Container registries: references, and tag → digest by the OCI distribution API."""
