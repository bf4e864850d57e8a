"""Credentials of people: passwords and access tokens; pure but for the thread pool that hashes."""
