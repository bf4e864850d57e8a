"""Config and secrets of an app environment. Both are sealed on receipt; config may be read back, secrets by nobody.

A config revision is append-only and numbered: all config vars, sealed as one value, and by name the versions of the
secrets. Its number is the ETag. A secret's version is sealed for the worker alone (HPKE). Tables: config_revisions,
secret_versions.
"""
