"""The rules and all writes: logins with their refresh tokens (``sessions``), api tokens of organizations (``tokens``)."""
