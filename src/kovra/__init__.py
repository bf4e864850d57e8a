"""Kovra: a multi-tenant PaaS control plane on Kubernetes."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("kovra")
except PackageNotFoundError:  # a source tree that nobody installed
    __version__ = "0.0.0"
