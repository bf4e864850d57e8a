"""Customers' own clusters: where environments may live besides Kovra's own.

A cluster is registered by kubeconfig (sealed under ``secret``: only the worker opens it) or as an EKS cluster (a role that
Kovra assumes with an external id it made). Health goes unknown → healthy | degraded | unreachable and back, by checks.
An environment is placed on a cluster when it is made, for good. Table: ``clusters``.
"""
