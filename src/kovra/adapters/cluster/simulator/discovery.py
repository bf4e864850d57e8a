"""Discovery: which groups and kinds there are."""

from __future__ import annotations

from typing import Any, Final

from kovra.adapters.cluster.simulator.kinds import KINDS, Kind

_VERBS: Final = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def groups() -> dict[str, Any]:
    """``/apis``."""
    names = sorted({k.group for k in KINDS if k.group})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in names]}


def _group(name: str) -> dict[str, Any]:
    version = next(k.version for k in KINDS if k.group == name)
    named = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [named], "preferredVersion": named}


def discovery(group: str, version: str) -> dict[str, Any] | None:
    """``/api``, ``/api/v1``, ``/apis/<group>`` and ``/apis/<group>/<version>``; None where there is no such group."""
    known = [k for k in KINDS if k.group == group]
    if not known or version not in ("", known[0].version):
        return None
    if not version:
        if not group:
            return {"kind": "APIVersions", "versions": ["v1"]}
        return {"kind": "APIGroup", "apiVersion": "v1"} | _group(group)
    resources = [entry for kind in known for entry in _entries(kind)]
    return {"kind": "APIResourceList", "groupVersion": known[0].api_version, "resources": resources}


def _entries(kind: Kind) -> list[dict[str, Any]]:
    common = {"kind": kind.kind, "namespaced": kind.namespaced, "singularName": kind.kind.lower()}
    found = [{"name": kind.plural, **common, "verbs": _VERBS}]
    below = {"singularName": "", "namespaced": kind.namespaced}
    if kind.status:
        entry = {"name": f"{kind.plural}/status", "kind": kind.kind, "verbs": ["get", "patch", "update"]}
        found.append(entry | below)
    if kind.scale:
        scale = {"name": f"{kind.plural}/scale", "group": "autoscaling", "version": "v1", "kind": "Scale"}
        found.append(scale | below | {"verbs": ["get", "patch", "update"]})
    if kind.kind == "Pod":
        found.append({"name": "pods/log", "kind": "Pod", "verbs": ["get"]} | below)
    return found
