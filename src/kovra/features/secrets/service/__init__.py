"""The rules: config revisions and secrets (``revisions``), the organization's keys (``keys``)."""
