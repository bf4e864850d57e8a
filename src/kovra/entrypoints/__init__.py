"""Processes: the only place where things are wired together."""
