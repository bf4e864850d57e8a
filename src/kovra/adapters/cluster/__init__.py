"""Kubernetes behind one door: what to run (``workload``), the objects it means (``manifests``, pure), talking to an API
server (``client``), reading back what is true (``status``), and a simulator for machines without a cluster.
"""
