"""Quotas: what a namespace uses, and what would be too much."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from kovra.adapters.cluster.quantities import amount, plain
from kovra.adapters.cluster.simulator.admission.limits import totals
from kovra.adapters.cluster.simulator.kinds import BY_KIND, Kind, forbidden
from kovra.adapters.cluster.simulator.store import Object, Store

_COMPUTE: Final = ("cpu", "memory", "ephemeral-storage")
_COUNTED: Final = {
    "services": "services", "secrets": "secrets", "configmaps": "configmaps", "resourcequotas": "resourcequotas",
}  # fmt: skip


def check(store: Store, kind: Kind, document: Object, before: Object | None = None) -> None:
    """Raises the 403 of the first quota that a new (or changed) object would exceed."""
    namespace = document["metadata"]["namespace"]
    quotas = store.list("ResourceQuota", namespace)
    if not quotas:
        return
    added = usage_of(kind, document)
    if before is not None:
        was = usage_of(kind, before)
        added = {name: value - was.get(name, Decimal(0)) for name, value in added.items()}
    used = usage(store, namespace)
    for quota in quotas:
        hard = quota["spec"].get("hard", {})
        _must_say(kind, quota, document, hard)
        over = [n for n in sorted(added) if n in hard and added[n] > 0 and used.get(n, 0) + added[n] > amount(hard[n])]
        if over:
            raise forbidden(kind, document["metadata"].get("name", ""), _exceeded(quota, over, added, used, hard))


def _exceeded(
    quota: Object, over: list[str], added: Mapping[str, Decimal], used: Mapping[str, Decimal], hard: Mapping[str, str]
) -> str:
    def listed(values: Mapping[str, Any]) -> str:
        return ",".join(f"{n}={values[n]}" for n in over)

    requested = listed({n: plain(added[n], hard[n]) for n in over})
    in_use = listed({n: plain(used.get(n, Decimal(0)), hard[n]) for n in over})
    name = quota["metadata"]["name"]
    return f"exceeded quota: {name}, requested: {requested}, used: {in_use}, limited: {listed(hard)}"


def _must_say(kind: Kind, quota: Object, document: Object, hard: Mapping[str, str]) -> None:
    """A pod must say how much it needs of what a quota bounds."""
    if kind.kind != "Pod":
        return
    missing: dict[str, list[str]] = {}
    for container in [*document["spec"].get("containers", []), *document["spec"].get("initContainers", [])]:
        resources = container.get("resources", {})
        for name in _COMPUTE:
            for side in ("limits", "requests"):
                if f"{side}.{name}" in hard and name not in resources.get(side, {}):
                    missing.setdefault(f"{side}.{name}", []).append(container["name"])
    if missing:
        shown = "; ".join(f"{name} for: {','.join(sorted(who))}" for name, who in sorted(missing.items()))
        why = f"failed quota: {quota['metadata']['name']}: must specify {shown}"
        raise forbidden(kind, document["metadata"].get("name", ""), why)


def usage_of(kind: Kind, document: Object) -> dict[str, Decimal]:
    """What one object uses of every resource that a quota may bound."""
    group = f".{kind.group}" if kind.group else ""
    found = {f"count/{kind.plural}{group}": Decimal(1)}
    if kind.plural in _COUNTED:
        found[kind.plural] = Decimal(1)
    if kind.kind == "Pod":
        if (document.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return found
        found["pods"] = Decimal(1)
        for side, asked in totals(document).items():
            for name, text in asked.items():
                found[f"{side}.{name}"] = amount(text)
                if side == "requests":
                    found[name] = amount(text)
    elif kind.kind == "PersistentVolumeClaim":
        found["persistentvolumeclaims"] = Decimal(1)
        found["requests.storage"] = amount(document["spec"]["resources"]["requests"]["storage"])
    elif kind.kind == "Service":
        form = document["spec"].get("type")
        nodeports = len(document["spec"].get("ports", [])) if form in ("NodePort", "LoadBalancer") else 0
        found["services.nodeports"] = Decimal(nodeports)
        found["services.loadbalancers"] = Decimal(int(form == "LoadBalancer"))
    return found


def usage(store: Store, namespace: str) -> dict[str, Decimal]:
    """What is used of everything in a namespace."""
    total: dict[str, Decimal] = {}
    for document in store.inside(namespace):
        for name, used in usage_of(BY_KIND[document["kind"]], document).items():
            total[name] = total.get(name, Decimal(0)) + used
    return total
