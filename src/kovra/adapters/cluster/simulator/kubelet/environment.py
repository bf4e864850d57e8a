"""A container's environment: from its own list, Secrets and ConfigMaps; what is missing keeps it from being created."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from kovra.adapters.cluster.simulator.network import API_SERVICE
from kovra.adapters.cluster.simulator.store import Object, Store


class Missing(Exception):
    """What the container's configuration names is not there; the text is the kubelet's."""


def environment_of(store: Store, pod: Object, container: Object) -> dict[str, str]:
    """Name → value; raises Missing."""
    namespace = pod["metadata"]["namespace"]
    found = {"KUBERNETES_SERVICE_HOST": API_SERVICE[0], "KUBERNETES_SERVICE_PORT": str(API_SERVICE[1])}
    for source in container.get("envFrom") or []:
        prefix = source.get("prefix", "")
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if field in source:
                values = _values(store, namespace, kind, source[field])
                found |= {prefix + name: value for name, value in values.items()}
    for entry in container.get("env") or []:
        value = _value(store, pod, entry)
        if value is not None:
            found[entry["name"]] = value
    return found


def _values(store: Store, namespace: str, kind: str, reference: dict[str, Any]) -> dict[str, str]:
    name = reference.get("name", "")
    document = store.find(kind, namespace, name)
    if document is None:
        if reference.get("optional"):
            return {}
        raise Missing(f'{kind.lower()} "{name}" not found')
    data = document.get("data") or {}
    if kind == "Secret":
        return {key: base64.b64decode(text).decode("utf-8", "replace") for key, text in data.items()}
    return dict(data)


def _value(store: Store, pod: Object, entry: dict[str, Any]) -> str | None:
    source = entry.get("valueFrom")
    if source is None:
        return str(entry.get("value", ""))
    for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if field in source:
            return _by_key(store, pod["metadata"]["namespace"], kind, source[field])
    if "fieldRef" in source:
        value: Any = pod
        for part in str(source["fieldRef"].get("fieldPath", "")).split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return "" if value is None else str(value)
    return ""


def _by_key(store: Store, namespace: str, kind: str, reference: dict[str, Any]) -> str | None:
    values = _values(store, namespace, kind, reference)
    key = reference.get("key", "")
    if key in values:
        return values[key]
    if reference.get("optional"):
        return None
    raise Missing(f"couldn't find key {key} in {kind} {namespace}/{reference.get('name', '')}")


def pull_authorizations(store: Store, pod: Object, registry: str) -> Iterator[str]:
    """The Basic headers of the pod's pull Secrets for a registry; a Secret that is not there is passed over."""
    for reference in pod["spec"].get("imagePullSecrets") or []:
        document = store.find("Secret", pod["metadata"]["namespace"], reference.get("name", ""))
        if document is None or document.get("type") != "kubernetes.io/dockerconfigjson":
            continue
        config = json.loads(base64.b64decode(document["data"][".dockerconfigjson"]))
        entry = config.get("auths", {}).get(registry)
        if entry is not None:
            yield f"Basic {entry.get('auth', '')}"
