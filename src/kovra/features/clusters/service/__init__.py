"""Clusters: the rules and all writes, and the worker's connections to them."""
