"""Clients written from the description of the API: Python for the CLI and for others, types for TypeScript.

``shapes`` reads schemas, ``operations`` reads paths, ``python`` and ``typescript`` write. Pure: text comes out, and who
asked for it keeps it (`make golden`) or compares it (the laws).
"""
