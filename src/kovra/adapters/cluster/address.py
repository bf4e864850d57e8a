"""Where a cluster is, in words of settings; imports no client."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EksAddress:
    """An EKS cluster, reached with tokens that are made in process (no ``aws`` program, no kubeconfig)."""

    cluster: str
    """Its name, which each token is bound to."""
    endpoint: str
    """``https://….eks.amazonaws.com``, as ``aws eks describe-cluster`` shows it."""
    certificate_authority: Path
    """A file with the cluster's authority (PEM)."""
    region: str = "us-east-1"
