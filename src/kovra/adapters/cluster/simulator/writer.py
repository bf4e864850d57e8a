"""Writing: every way an object comes to be, changes or goes, through defaults, admission and validation."""

from __future__ import annotations

import copy
import secrets
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from kovra.adapters.cluster.simulator.admission import Admission
from kovra.adapters.cluster.simulator.kinds import (
    BY_KIND,
    Kind,
    bad_request,
    conflict,
    not_found,
    taken,
)
from kovra.adapters.cluster.simulator.objects.decoding import check_applied, merged_object
from kovra.adapters.cluster.simulator.objects.defaults import default
from kovra.adapters.cluster.simulator.objects.managers import Manager, Managers, applied, updated
from kovra.adapters.cluster.simulator.objects.ownership import Paths, hollow
from kovra.adapters.cluster.simulator.objects.shapes import shape_of
from kovra.adapters.cluster.simulator.removal import Remover
from kovra.adapters.cluster.simulator.store import Object, Store, key_of, now
from kovra.adapters.cluster.simulator.validation import check_name, check_said_empty, validate, validate_change

_SYSTEM: Final = (
    "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "deletionTimestamp",
    "deletionGracePeriodSeconds", "selfLink",
)  # fmt: skip
_STATUS: Final[Paths] = frozenset({("f:status",)})
_NO_STATUS: Final[Paths] = frozenset({("f:spec",), ("f:metadata", "f:labels")})
CONTROLLERS: Final = "kube-controller-manager"
KUBELET: Final = "kubelet"
SCHEDULER: Final = "kube-scheduler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a write is meant."""

    manager: str
    dry_run: bool = False
    force: bool = False
    subresource: str = ""


class Writer:
    """Writes to a store as an API server does."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.remover = Remover(store)
        self._admission = Admission(store)
        self._addresses = 0

    # Making

    def create(self, kind: Kind, namespace: str, document: Object, options: Options) -> Object:
        """A new object; 409 when the name is taken."""
        made = self._prepared(kind, namespace, document)
        who = self._manager(kind, options, "Update")
        managers = updated(
            {},
            who,
            hollow(shape_of(kind.shape)),
            made,
            shape_of(kind.shape),
            ignored=_ignored(kind, options),
            now=now(),
        )
        return self._keep_new(kind, namespace, made, managers, options)

    def _prepared(self, kind: Kind, namespace: str, document: Object) -> Object:
        """A copy with defaults, without what only the server says."""
        made = copy.deepcopy(document)
        metadata = made.setdefault("metadata", {})
        for system in _SYSTEM:
            metadata.pop(system, None)
        given = metadata.get("namespace")
        if kind.namespaced and given and given != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        if kind.namespaced:
            metadata["namespace"] = namespace
        else:
            metadata.pop("namespace", None)
        if kind.status:
            made.pop("status", None)
        made["apiVersion"], made["kind"] = kind.api_version, kind.kind
        default(kind.kind, made)
        return made

    def _keep_new(self, kind: Kind, namespace: str, made: Object, managers: Managers, options: Options) -> Object:
        metadata = made["metadata"]
        self._admission.namespace(kind, namespace, metadata.get("name", ""))
        self._admission.mutate(kind, made)
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = metadata["generateName"][:58] + _suffix()
        check_name(kind, made)
        metadata["uid"], metadata["creationTimestamp"] = str(uuid4()), now()
        if kind.counts_generations:
            metadata["generation"] = 1
        if kind.kind == "Service":
            self._allocate(made["spec"])
        elif kind.kind == "Job":
            _select_own_pods(made)
        _first_status(kind, made)
        validate(kind, made)
        self._admission.validate(kind, made)
        known = self.store.find(*key_of(made))
        if known is not None:
            raise taken(kind, metadata["name"], going="deletionTimestamp" in known["metadata"])
        if not options.dry_run:
            self.store.put(kind, made, managers)
        return self.store.shown(made, managers)

    def _allocate(self, spec: Object) -> None:
        """A cluster address for a Service that has none."""
        if spec.get("clusterIP") == "None":
            both = {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"}
            one = {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
            spec |= {"clusterIPs": ["None"]} | (one if spec.get("selector") else both)
        if spec["type"] == "ExternalName" or spec.get("clusterIP"):
            return
        self._addresses = self._addresses % 65000 + 1
        address = f"10.96.{self._addresses // 256}.{self._addresses % 256}"
        spec |= {"clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}

    # Changing

    def update(self, kind: Kind, namespace: str, name: str, document: Object, options: Options) -> Object:
        """Replace; a stale resourceVersion is a 409, a change of what is wanted counts the generation."""
        live = self.store.get(kind, namespace, name)
        managers: Managers = self.store.managers_of(live)
        if (document.get("metadata") or {}).get("managedFields") in ([], [{}]):
            managers = {}
        made = self._next(kind, live, document, options)
        shape = shape_of(kind.shape)
        who = self._manager(kind, options, "Update")
        after = updated(managers, who, live, made, shape, ignored=_ignored(kind, options), now=now())
        return self._keep_changed(kind, live, made, after, options)

    def apply(self, kind: Kind, namespace: str, name: str, wanted: Object, options: Options) -> tuple[Object, bool]:
        """Server-side apply; (the object, whether it is new)."""
        _check_identity(kind, namespace, name, wanted)
        check_applied(kind, wanted)
        who = self._manager(kind, options, "Apply")
        shape = shape_of(kind.shape)
        live = self.store.find(kind.kind, namespace, name)
        base = live if live is not None else hollow(shape)
        managers: Managers = self.store.managers_of(live) if live is not None else {}
        ignored = _ignored(kind, options)
        made, after = applied(
            managers, who, base, _named(wanted, name), shape, ignored=ignored, force=options.force, now=now()
        )
        if live is not None:
            check_said_empty(kind, live, made)
        made = merged_object(kind, made)
        if live is None:
            if options.subresource:
                raise not_found(kind, name)
            return self._keep_new(kind, namespace, self._prepared(kind, namespace, made), after, options), True
        made = self._next(kind, live, made, options)
        return self._keep_changed(kind, live, made, after, options), False

    def _next(self, kind: Kind, live: Object, document: Object, options: Options) -> Object:
        """What the object would be: the part that this write may say, upon what is kept."""
        given = (document.get("metadata") or {}).get("resourceVersion")
        uid = (document.get("metadata") or {}).get("uid")
        name = live["metadata"]["name"]
        if uid and uid != live["metadata"]["uid"]:
            raise conflict(kind, name)
        if given and given != live["metadata"]["resourceVersion"]:
            raise conflict(kind, name)
        if options.subresource == "status":
            made = {**copy.deepcopy(live), "status": copy.deepcopy(document.get("status") or {})}
        else:
            made = copy.deepcopy(document)
            if kind.status:
                made.pop("status", None)
                if "status" in live:
                    made["status"] = live["status"]
        metadata = made.setdefault("metadata", {})
        for system in (*_SYSTEM, "namespace", "name", "generateName"):
            metadata.pop(system, None)
            if system in live["metadata"]:
                metadata[system] = live["metadata"][system]
        made["apiVersion"], made["kind"] = kind.api_version, kind.kind
        default(kind.kind, made)
        _keep_allocated(kind, live, made)
        return made

    def _keep_changed(self, kind: Kind, live: Object, made: Object, managers: Managers, options: Options) -> Object:
        before = self.store.managers_of(live)
        if _said(made) == _said(live) and _paths(managers) == _paths(before):
            return self.store.shown(live, before)
        if options.subresource != "status":
            validate_change(kind, live, made)
            self._admission.validate_change(kind, live, made)
            if kind.counts_generations and _wanted(made) != _wanted(live):
                made["metadata"]["generation"] = live["metadata"]["generation"] + 1
        made["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        if not options.dry_run:
            self.store.put(kind, made, managers)
            self.remover.finished(kind, made)
        return self.store.shown(made, managers)

    def set_status(self, kind: str, namespace: str, name: str, status: Object, manager: str) -> None:
        """What a controller has seen; nothing is written when nothing changed."""
        live = self.store.find(kind, namespace, name)
        if live is None or live.get("status") == status:
            return
        known, shape = BY_KIND[kind], shape_of(BY_KIND[kind].shape)
        who = Manager(operation="Update", name=manager, api_version=known.api_version, subresource="status")
        old, new = {"status": live.get("status", {})}, {"status": status}
        managers = updated(self.store.managers_of(live), who, old, new, shape, ignored=frozenset(), now=now())
        self.store.put(known, {**live, "status": status, "metadata": dict(live["metadata"])}, managers)

    def bind(self, pod: Object, node: str) -> None:
        """The scheduler's word on where a pod runs."""
        made = {**pod, "spec": {**pod["spec"], "nodeName": node}, "metadata": dict(pod["metadata"])}
        self.store.put(BY_KIND["Pod"], made)

    def _manager(self, kind: Kind, options: Options, operation: str) -> Manager:
        return Manager(
            operation=operation, name=options.manager, api_version=kind.api_version, subresource=options.subresource
        )


def _suffix() -> str:
    return "".join(secrets.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(5))


def _ignored(kind: Kind, options: Options) -> Paths:
    if options.subresource == "status":
        return _NO_STATUS
    return _STATUS if kind.status else frozenset()


def _named(wanted: Object, name: str) -> Object:
    metadata = {k: v for k, v in wanted["metadata"].items() if k not in ("managedFields", "creationTimestamp")}
    return {**wanted, "metadata": {**metadata, "name": name}}


def _check_identity(kind: Kind, namespace: str, name: str, wanted: Object) -> None:
    given = f"{wanted.get('apiVersion', '')}".rpartition("/")
    if (given[0], given[2], wanted.get("kind")) != (kind.group, kind.version, kind.kind):
        raise bad_request(f"invalid object type: {given[0]}/{given[2]}, Kind={wanted.get('kind') or ''}")
    metadata = wanted.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise bad_request("metadata is no object")
    if metadata.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    if metadata.get("name") not in (None, name):
        raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
    if metadata.get("namespace") not in (None, namespace):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def _said(document: Object) -> Object:
    metadata = {k: v for k, v in document["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return {**document, "metadata": metadata}


def _paths(managers: Managers) -> dict[Manager, Paths]:
    return {who: owned.paths for who, owned in managers.items()}


def _wanted(document: Object) -> Any:
    """What the generation counts."""
    return {k: v for k, v in document.items() if k not in ("metadata", "status", "apiVersion", "kind")}


def _first_status(kind: Kind, made: Object) -> None:
    match kind.kind:
        case "Pod":
            made["status"] = {"phase": "Pending", "qosClass": _quality(made["spec"])}
        case "Namespace":
            made.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
            made["status"] = {"phase": "Active"}
        case "Service":
            made["status"] = {"loadBalancer": {}}
        case "Ingress":
            made["status"] = {"loadBalancer": {}}
        case "ReplicaSet":
            made["status"] = {"replicas": 0}
        case "PodDisruptionBudget":
            counts = ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods")
            made["status"] = dict.fromkeys(counts, 0)
        case "PersistentVolumeClaim":
            made["status"] = {"phase": "Pending"}
        case "HorizontalPodAutoscaler":
            made["status"] = {"currentMetrics": None, "desiredReplicas": 0}
        case "Deployment" | "Job" | "ResourceQuota":
            made["status"] = {}


def _select_own_pods(job: Object) -> None:
    """A Job's selector and its pods' labels are made from its uid."""
    metadata, spec = job["metadata"], job["spec"]
    if spec.get("manualSelector") or "selector" in spec:
        return
    labels = spec["template"]["metadata"].setdefault("labels", {})
    shared = metadata.get("labels") == labels or "labels" not in metadata
    for prefix in ("batch.kubernetes.io/", ""):
        labels[f"{prefix}controller-uid"] = metadata["uid"]
        labels[f"{prefix}job-name"] = metadata["name"]
    if shared:
        metadata["labels"] = dict(labels)
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": metadata["uid"]}}


def _quality(spec: Object) -> str:
    """The pod's quality of service class."""
    containers = [*spec.get("initContainers", []), *spec.get("containers", [])]
    asked = [c.get("resources", {}) for c in containers]
    if not any(r.get("requests") or r.get("limits") for r in asked):
        return "BestEffort"
    full = all({"cpu", "memory"} <= set(r.get("limits", {})) for r in asked)
    same = all(r.get("requests", {}).get(n) == r.get("limits", {}).get(n) for r in asked for n in ("cpu", "memory"))
    return "Guaranteed" if full and same else "Burstable"


def _keep_allocated(kind: Kind, live: Object, made: Object) -> None:
    """What the server gave an object stays when a write does not mention it."""
    if kind.kind == "Service":
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if name in live["spec"]:
                made["spec"].setdefault(name, live["spec"][name])
    elif kind.kind == "Namespace":
        made["spec"] = live["spec"]
    elif kind.kind == "Job":
        made["spec"].setdefault("selector", live["spec"]["selector"])
