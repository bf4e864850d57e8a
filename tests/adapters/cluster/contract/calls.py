"""Calls whose answers must be the same from every API server: what is asked, and how answers are made comparable."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
PARTIAL: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. ``{ns}`` in the path is the scenario's namespace; ``$2.metadata.uid`` anywhere in the body is taken
    from the answer to the second call."""

    method: str
    path: str
    body: Any = None
    content: str = JSON
    query: Mapping[str, str] = field(default_factory=dict)
    accept: str = JSON
    until: str = ""
    """Ask again until the answer holds this text: what controllers do takes a moment."""
    shows_status: bool = False
    """The status is part of the comparison, though a controller may write it."""


_GROUPS: Final = {
    "deployments": "apps/v1", "replicasets": "apps/v1", "jobs": "batch/v1", "networkpolicies": "networking.k8s.io/v1",
    "ingresses": "networking.k8s.io/v1", "poddisruptionbudgets": "policy/v1", "leases": "coordination.k8s.io/v1",
    "endpointslices": "discovery.k8s.io/v1", "httproutes": "gateway.networking.k8s.io/v1",
}  # fmt: skip


def at(plural: str, name: str = "", below: str = "") -> str:
    """The path of a collection or an object in the scenario's namespace."""
    root = f"/apis/{_GROUPS[plural]}" if plural in _GROUPS else "/api/v1"
    return f"{root}/namespaces/{{ns}}/{plural}" + (f"/{name}" if name else "") + (f"/{below}" if below else "")


def post(plural: str, body: Any, **more: Any) -> Call:
    return Call(method="POST", path=at(plural), body=body, **more)


def put(plural: str, name: str, body: Any, *, below: str = "", **query: str) -> Call:
    return Call(method="PUT", path=at(plural, name, below), body=body, query=query)


def apply(plural: str, name: str, body: Any, manager: str, *, below: str = "", **query: str) -> Call:
    return Call(
        method="PATCH", path=at(plural, name, below), body=body, content=APPLY, query={"fieldManager": manager, **query}
    )


def patch(plural: str, name: str, body: Any, content: str, *, below: str = "", **query: str) -> Call:
    return Call(method="PATCH", path=at(plural, name, below), body=body, content=content, query=query)


def get(plural: str, name: str = "", *, below: str = "", accept: str = JSON, until: str = "", **query: str) -> Call:
    return Call(method="GET", path=at(plural, name, below), query=query, accept=accept, until=until)


def delete(plural: str, name: str, body: Any = None, **query: str) -> Call:
    return Call(method="DELETE", path=at(plural, name), body=body, query=query)


def evict(name: str, **query: str) -> Call:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    return Call(method="POST", path=at("pods", name, "eviction"), body=body, query=query)


# Making answers comparable

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_UID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ADDRESS: Final = re.compile(r"\b10\.96\.\d+\.\d+")
_VERSION: Final = re.compile(r"(in record \(|record: |ResourceVersion: |than )\d+")
_PATCHED: Final = re.compile(r'(Invalid value: )\\"\{.*?\}\\"(: json)')
"""What a patch leads to is shown whole where it cannot be."""
_CONTROLLERS: Final = frozenset({"kube-controller-manager", "kubelet", "kube-scheduler", "kube-apiserver"})
_WATCHED: Final = frozenset({"Scale", "Deployment", "ReplicaSet", "Job", "Pod", "ResourceQuota", "PodDisruptionBudget"})
_DIFFERENCE: Final = re.compile(r"(previously negative\)).*", re.DOTALL)
"""What was tried to change in a pod is told as a difference of the server's own structures."""
_PODS: Final = re.compile(r'(pods \\"\w+)-[a-z0-9]{8,10}-[a-z0-9]{5}')
_SETS: Final = re.compile(r'((?:replica set|ReplicaSet) \\")[a-z0-9-]+')
_NOT_OURS: Final = frozenset({"kube-root-ca.crt"})


def comparable(body: Any, namespace: str, *, shows_status: bool = False) -> Any:
    """An answer without what differs from server to server and from time to time."""
    found = _walked(body, shows_status)
    text = json.dumps(found, sort_keys=True, ensure_ascii=False).replace(namespace, "<ns>")
    text = _PODS.sub(r"\1-<random>", text)
    text = _SETS.sub(r"\1<set>", _PATCHED.sub(r"\1<object>\2", text))
    for pattern, instead in ((_TIME, "<time>"), (_UID, "<uid>"), (_ADDRESS, "<address>"), (_VERSION, r"\1<version>")):
        text = pattern.sub(instead, text)
    return json.loads(text)


def _walked(value: Any, shows_status: bool) -> Any:
    if isinstance(value, list):
        return [_walked(v, shows_status) for v in value]
    if not isinstance(value, dict):
        return _DIFFERENCE.sub(r"\1", value) if isinstance(value, str) else value
    found = {k: _walked(v, shows_status) for k, v in value.items()}
    if isinstance(found.get("metadata"), dict):
        found["metadata"] = _metadata(found["metadata"])
        if not shows_status and (found.get("kind") in _WATCHED or "kind" not in found):
            found.pop("status", None)
            if isinstance(found.get("spec"), dict):
                found["spec"].pop("nodeName", None)
    if isinstance(found.get("conditions"), list):
        found["conditions"] = sorted(found["conditions"], key=lambda c: str(c["type"]))
    if isinstance(found.get("items"), list):
        found["items"] = [i for i in found["items"] if i.get("metadata", {}).get("name") not in _NOT_OURS]
    return found


def _owner(fields: Object) -> tuple[str, ...]:
    return tuple(str(fields.get(name, "")) for name in ("manager", "operation", "subresource", "apiVersion"))


def _metadata(metadata: Object) -> Object:
    found = {k: ("<version>" if k == "resourceVersion" else v) for k, v in metadata.items()}
    if "continue" in found:
        found["continue"] = "<continue>" if found["continue"] else ""
    if isinstance(found.get("managedFields"), list):
        # Servers put them in the order of their times, which have seconds: what lies between two calls decides.
        ours = [m for m in found["managedFields"] if m.get("manager") not in _CONTROLLERS]
        found["managedFields"] = sorted(ours, key=_owner)
    annotations = found.get("annotations")
    if isinstance(annotations, dict):
        left = {k: v for k, v in annotations.items() if not k.startswith("deployment.kubernetes.io/")}
        found.pop("annotations")
        found |= {"annotations": left} if left else {}
    return found


def resolved(value: Any, answers: list[Any]) -> Any:
    """The body with ``$N.path`` taken from earlier answers."""
    if isinstance(value, dict):
        return {k: resolved(v, answers) for k, v in value.items()}
    if isinstance(value, list):
        return [resolved(v, answers) for v in value]
    found = re.fullmatch(r"\$(\d+)((?:\.\w+)*)", value) if isinstance(value, str) else None
    if found is None:
        return value
    answer = answers[int(found[1]) - 1]
    for part in found[2].split(".")[1:]:
        answer = answer[part]
    return answer
