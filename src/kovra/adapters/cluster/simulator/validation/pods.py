"""What is wrong with pods and pod templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kovra.adapters.cluster.quantities import amount
from kovra.adapters.cluster.simulator.validation.words import LABEL_1123, SUBDOMAIN, between, least, one_of, shown

Object = dict[str, Any]


def pod(document: Object) -> Iterator[str]:
    """A pod."""
    yield from spec("spec", document["spec"])


def change(before: Object, document: Object) -> Iterator[str]:
    """Of a pod, nearly nothing can be changed."""
    if _fixed(before["spec"]) != _fixed(document["spec"]):
        yield (
            "spec: Forbidden: pod updates may not change fields other than "
            "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
            "`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
        )


def _fixed(pod_spec: Object) -> Object:
    changeable = ("activeDeadlineSeconds", "tolerations", "nodeName")
    kept = {k: v for k, v in pod_spec.items() if k not in changeable}
    for kind in ("containers", "initContainers"):
        if kind in kept:
            kept[kind] = [{k: v for k, v in c.items() if k != "image"} for c in kept[kind]]
    return kept


def spec(
    field: str, pod_spec: Object, *, policies: tuple[str, ...] = ("Always", "OnFailure", "Never")
) -> Iterator[str]:
    """A pod's specification."""
    volumes = {v.get("name", "") for v in pod_spec.get("volumes", [])}
    for index, volume in enumerate(pod_spec.get("volumes", [])):
        yield from LABEL_1123.check(f"{field}.volumes[{index}].name", volume.get("name", ""))
        if len(set(volume) - {"name"}) > 1:
            yield f"{field}.volumes[{index}]: Forbidden: may not specify more than 1 volume type"
    if not pod_spec.get("containers"):
        yield f"{field}.containers: Required value"
    seen: set[str] = set()
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(pod_spec.get(kind, [])):
            yield from _container(f"{field}.{kind}[{index}]", container, volumes, seen)
    yield from one_of(f"{field}.restartPolicy", pod_spec.get("restartPolicy"), policies)
    yield from least(f"{field}.terminationGracePeriodSeconds", pod_spec.get("terminationGracePeriodSeconds"))
    if "activeDeadlineSeconds" in pod_spec:
        yield from between(f"{field}.activeDeadlineSeconds", pod_spec["activeDeadlineSeconds"], 1, 2147483647)
    if account := pod_spec.get("serviceAccountName"):
        yield from SUBDOMAIN.check(f"{field}.serviceAccountName", account)


def _container(field: str, container: Object, volumes: set[str], seen: set[str]) -> Iterator[str]:
    name = container.get("name", "")
    if not name:
        yield f"{field}.name: Required value"
    else:
        yield from LABEL_1123.check(f"{field}.name", name)
        if name in seen:
            yield f"{field}.name: Duplicate value: {shown(name)}"
        seen.add(name)
    if not container.get("image"):
        yield f"{field}.image: Required value"
    yield from one_of(
        f"{field}.terminationMessagePolicy", container["terminationMessagePolicy"], ("FallbackToLogsOnError", "File")
    )
    yield from _ports(f"{field}.ports", container.get("ports", []))
    yield from _environment(f"{field}.env", container.get("env", []))
    yield from _mounts(f"{field}.volumeMounts", container.get("volumeMounts", []), volumes)
    yield from one_of(f"{field}.imagePullPolicy", container["imagePullPolicy"], ("Always", "IfNotPresent", "Never"))
    yield from resources(f"{field}.resources", container.get("resources", {}))
    yield from _security(f"{field}.securityContext", container.get("securityContext") or {})
    for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
        if kind in container:
            yield from _probe(f"{field}.{kind}", container[kind], once=kind != "readinessProbe")


def _ports(field: str, ports: list[Object]) -> Iterator[str]:
    names: set[str] = set()
    for index, port in enumerate(ports):
        here = f"{field}[{index}]"
        if name := port.get("name"):
            if not re.fullmatch(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]*[a-z0-9])?", name) or len(name) > 15 or "--" in name:
                yield f"{here}.name: Invalid value: {shown(name)}: must be an IANA service name"
            elif name in names:
                yield f"{here}.name: Duplicate value: {shown(name)}"
            names.add(name)
        if not port.get("containerPort"):
            yield f"{here}.containerPort: Required value"
        else:
            yield from between(f"{here}.containerPort", port["containerPort"], 1, 65535)
        yield from one_of(f"{here}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))


def _environment(field: str, entries: list[Object]) -> Iterator[str]:
    for index, entry in enumerate(entries):
        if not entry.get("name"):
            yield f"{field}[{index}].name: Required value"
        if entry.get("value") and entry.get("valueFrom"):
            yield f'{field}[{index}].valueFrom: Invalid value: "": may not be specified when `value` is not empty'


def _mounts(field: str, mounts: list[Object], volumes: set[str]) -> Iterator[str]:
    for index, mount in enumerate(mounts):
        if mount.get("name") not in volumes:
            yield f"{field}[{index}].name: Not found: {shown(mount.get('name', ''))}"
        if not mount.get("mountPath"):
            yield f"{field}[{index}].mountPath: Required value"


def resources(field: str, given: Object) -> Iterator[str]:
    """Requests may not be more than limits, nor anything negative."""
    for side in ("limits", "requests"):
        for name, text in given.get(side, {}).items():
            if amount(text) < 0:
                yield f"{field}.{side}[{name}]: Invalid value: {shown(text)}: must be greater than or equal to 0"
    for name, text in given.get("requests", {}).items():
        limit = given.get("limits", {}).get(name)
        if limit is not None and amount(text) > amount(limit):
            yield f"{field}.requests: Invalid value: {shown(text)}: must be less than or equal to {name} limit of {limit}"


def _security(field: str, context: Object) -> Iterator[str]:
    if "runAsUser" in context:
        yield from between(f"{field}.runAsUser", context["runAsUser"], 0, 2147483647)
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            yield (
                f"{field}: Invalid value: {shown(context)}: cannot set `allowPrivilegeEscalation` to false and "
                "`privileged` to true"
            )
        if "CAP_SYS_ADMIN" in (context.get("capabilities") or {}).get("add", []):
            yield (
                f"{field}: Invalid value: {shown(context)}: cannot set `allowPrivilegeEscalation` to false and "
                "`capabilities.Add` CAP_SYS_ADMIN"
            )


def _probe(field: str, probe: Object, *, once: bool) -> Iterator[str]:
    forms = [name for name in ("exec", "httpGet", "tcpSocket", "grpc") if name in probe]
    if not forms:
        yield f"{field}: Required value: must specify a handler type"
    for extra in forms[1:]:
        yield f"{field}.{extra}: Forbidden: may not specify more than 1 handler type"
    if "exec" in probe and not probe["exec"].get("command"):
        yield f"{field}.exec.command: Required value"
    for form in ("httpGet", "tcpSocket"):
        if form in probe:
            port = probe[form].get("port")
            if isinstance(port, int):
                yield from between(f"{field}.{form}.port", port, 1, 65535)
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        yield from least(f"{field}.{name}", probe.get(name))
    if once and probe.get("successThreshold") != 1:
        yield f"{field}.successThreshold: Invalid value: {probe.get('successThreshold')}: must be 1"
