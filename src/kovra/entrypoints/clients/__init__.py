"""Clients written from the description of the API: Python for the CLI and for others, types for TypeScript.

``shapes`` reads schemas and ``operations`` paths; ``facts`` and ``frames`` are what OpenAPI does not tell; ``python`` and
``typescript`` write. Pure: text comes out, and who asked for it keeps it (`make golden`) or compares it (the laws).
"""
