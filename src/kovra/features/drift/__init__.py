"""Drift: what the cluster has against what was put into it, of each app environment and of each environment's walls.

A check compares; what was changed by hand is told, and put back where the app environment's ``drift_policy`` says
``restore``. Walls (namespace labels, network policies, quota, limits, account, the worker's binding) always return. Nobody
is fought: an object that was put back RESTORES times within an hour stays ``drifted`` and says so. What is in a namespace
and is not Kovra's is named, and never touched. Proofs of isolation are pods that try to connect.
Tables: ``drift_reports``, ``wall_reports``, ``isolation_proofs``.
"""
