"""Deployments: attempts to make a release live. Releases: immutable, numbered, complete.

A request writes what is wanted; the worker advances it in steps of at most thirty seconds, each under a lease whose
fence every write carries; the verdict comes only from what the cluster shows. Final outcomes never change, and the
database refuses moves that ``states`` does not list. Tables: releases, deployments.
"""
