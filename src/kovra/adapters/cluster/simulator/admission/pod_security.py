"""Pod Security Standards, ``baseline`` and ``restricted``, worded as the real admission plugin words them.

Source: Kubernetes' pod-security-admission at 1.35, Linux pods. Baseline checks come first, then restricted ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

Object = dict[str, Any]
_VOLUMES: Final = frozenset(
    {
        "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
        "secret",
    }
)  # fmt: skip
_CAPABILITIES: Final = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
_SYSCTLS: Final = frozenset(
    {"kernel.shm_rmid_forced"}
    | {
        f"net.ipv4.{name}"
        for name in (
            "ip_local_port_range", "tcp_syncookies", "ping_group_range", "ip_unprivileged_port_start",
            "ip_local_reserved_ports", "tcp_keepalive_time", "tcp_fin_timeout", "tcp_keepalive_intvl",
            "tcp_keepalive_probes", "tcp_rmem", "tcp_wmem",
        )
    }
)  # fmt: skip
_SELINUX: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_SECCOMP: Final = frozenset({"RuntimeDefault", "Localhost"})


def violations(spec: Object, *, level: str = "restricted") -> list[str]:
    """What of a pod a level refuses; empty when it is fine."""
    checks = {"baseline": _BASELINE, "restricted": _RESTRICTED}.get(level, ())
    return [found for check in checks if (found := check(spec))]


def _containers(spec: Object) -> Iterator[tuple[str, Object]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or []:
            yield container["name"], container


def _contexts(spec: Object) -> Iterator[tuple[str, Object]]:
    for name, container in _containers(spec):
        yield name, container.get("securityContext") or {}


def _pod_context(spec: Object) -> Object:
    context: Object = spec.get("securityContext") or {}
    return context


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _named(names: list[str], one: str = "container") -> str:
    return f"{one if len(names) == 1 else one + 's'} {_quoted(names)}"


def _uses(names: list[str]) -> str:
    return f"{_named(names)} {'uses' if len(names) == 1 else 'use'}"


def _host_namespaces(spec: Object) -> str:
    found = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return f"host namespaces ({', '.join(found)})" if found else ""


def _host_paths(spec: Object) -> str:
    found = [v["name"] for v in spec.get("volumes") or [] if "hostPath" in v]
    return f"hostPath volumes ({_named(found, 'volume')})" if found else ""


def _host_ports(spec: Object) -> str:
    ports = {n: [str(p["hostPort"]) for p in c.get("ports") or [] if p.get("hostPort")] for n, c in _containers(spec)}
    found = [name for name, used in ports.items() if used]
    every = sorted({port for used in ports.values() for port in used})
    what = "hostPort" if len(every) == 1 else "hostPorts"
    return f"hostPort ({_uses(found)} {what} {', '.join(every)})" if found else ""


def _privileged(spec: Object) -> str:
    found = [name for name, own in _contexts(spec) if own.get("privileged")]
    return f"privileged ({_named(found)} must not set securityContext.privileged=true)" if found else ""


def _capabilities(spec: Object) -> str:
    added = {n: set((own.get("capabilities") or {}).get("add") or []) - _CAPABILITIES for n, own in _contexts(spec)}
    found = [name for name, extra in added.items() if extra]
    every = sorted(set().union(*added.values())) if added else []
    detail = f"{_named(found)} must not include {_quoted(every)} in securityContext.capabilities.add"
    return f"non-default capabilities ({detail})" if found else ""


def _proc_mount(spec: Object) -> str:
    mounts = {n: own.get("procMount", "Default") for n, own in _contexts(spec)}
    found = [name for name, mount in mounts.items() if mount != "Default"]
    if not found or spec.get("hostUsers") is False:
        return ""
    values = _quoted(sorted({mounts[name] for name in found}))
    return f"procMount ({_named(found)} must not set securityContext.procMount to {values})"


def _probe_hosts(spec: Object) -> str:
    hosts = {name: sorted(_hosts(container)) for name, container in _containers(spec)}
    found = sorted(name for name, used in hosts.items() if used)
    every = sorted({host for used in hosts.values() for host in used})
    what = "probe or lifecycle host" + ("" if len(every) == 1 else "s")
    return f"probe or lifecycle host ({_uses(found)} {what} {_quoted(every)})" if found else ""


def _hosts(container: Object) -> Iterator[str]:
    handlers = [container.get(name) for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    handlers += list((container.get("lifecycle") or {}).values())
    for handler in handlers:
        for form in ("httpGet", "tcpSocket"):
            host = ((handler or {}).get(form) or {}).get("host")
            if host:
                yield host


def _selinux(spec: Object) -> str:
    options = [("pod", _pod_context(spec)), *_contexts(spec)]
    bad = {n: o for n, own in options if (o := own.get("seLinuxOptions")) and not _selinux_fine(o)}
    if not bad:
        return ""
    types = sorted({o.get("type", "") for o in bad.values()} - _SELINUX)
    data = [_named(types, "type")] if types else []
    data += ["user may not be set"] if any(o.get("user") for o in bad.values()) else []
    data += ["role may not be set"] if any(o.get("role") for o in bad.values()) else []
    return f"seLinuxOptions ({_setters(bad)} set forbidden securityContext.seLinuxOptions: {'; '.join(data)})"


def _selinux_fine(options: Object) -> bool:
    return options.get("type", "") in _SELINUX and not options.get("user") and not options.get("role")


def _setters(bad: Iterable[str]) -> str:
    """``pod and containers "a", "b"``."""
    names = list(bad)
    containers = [name for name in names if name != "pod"]
    return " and ".join([*(["pod"] if "pod" in names else []), *([_named(containers)] if containers else [])])


def _apparmor(spec: Object) -> str:
    options = [("pod", _pod_context(spec)), *_contexts(spec)]
    types = {n: (own.get("appArmorProfile") or {}).get("type", "RuntimeDefault") for n, own in options}
    bad = {name: kind for name, kind in types.items() if kind not in _SECCOMP}
    what = "forbidden AppArmor profile" + ("" if len(set(bad.values())) == 1 else "s")
    return (
        f"{what} ({_setters(bad)} must not set AppArmor profile type to {_quoted(sorted(set(bad.values())))})"
        if bad
        else ""
    )


def _sysctls(spec: Object) -> str:
    found = [s["name"] for s in _pod_context(spec).get("sysctls") or [] if s["name"] not in _SYSCTLS]
    return f"forbidden sysctls ({', '.join(found)})" if found else ""


def _unconfined(spec: Object) -> str:
    options = [("pod", _pod_context(spec)), *_contexts(spec)]
    bad = [n for n, own in options if (own.get("seccompProfile") or {}).get("type") == "Unconfined"]
    detail = f'{_setters(bad)} must not set securityContext.seccompProfile.type to "Unconfined"'
    return f"seccompProfile ({detail})" if bad else ""


def _escalation(spec: Object) -> str:
    found = [name for name, own in _contexts(spec) if own.get("allowPrivilegeEscalation") is not False]
    detail = f"{_named(found)} must set securityContext.allowPrivilegeEscalation=false"
    return f"allowPrivilegeEscalation != false ({detail})" if found else ""


def _dropped_capabilities(spec: Object) -> str:
    own = {name: context.get("capabilities") or {} for name, context in _contexts(spec)}
    missing = [name for name, c in own.items() if "ALL" not in (c.get("drop") or [])]
    adding = {name: set(c.get("add") or []) - {"NET_BIND_SERVICE"} for name, c in own.items()}
    bad = [name for name, extra in adding.items() if extra]
    details = [f'{_named(missing)} must set securityContext.capabilities.drop=["ALL"]'] if missing else []
    if bad:
        every = _quoted(sorted(set().union(*adding.values())))
        details.append(f"{_named(bad)} must not include {every} in securityContext.capabilities.add")
    return f"unrestricted capabilities ({'; '.join(details)})" if details else ""


def _volumes(spec: Object) -> str:
    types = {v["name"]: sorted(set(v) - {"name"})[:1] or ["emptyDir"] for v in spec.get("volumes") or []}
    found = [name for name, kind in types.items() if kind[0] not in _VOLUMES]
    kinds = sorted({types[name][0] for name in found})
    what = "restricted volume type" + ("" if len(kinds) == 1 else "s")
    verb = "uses" if len(found) == 1 else "use"
    return f"restricted volume types ({_named(found, 'volume')} {verb} {what} {_quoted(kinds)})" if found else ""


def _non_root(spec: Object) -> str:
    if spec.get("hostUsers") is False:
        return ""
    own = dict(_contexts(spec))
    pod = _pod_context(spec).get("runAsNonRoot")
    bad = [*(["pod"] if pod is False else []), *(n for n, c in own.items() if c.get("runAsNonRoot") is False)]
    if bad:
        return f"runAsNonRoot != true ({_setters(bad)} must not set securityContext.runAsNonRoot=false)"
    silent = [name for name, c in own.items() if "runAsNonRoot" not in c and pod is not True]
    detail = f"pod or {_named(silent)} must set securityContext.runAsNonRoot=true"
    return f"runAsNonRoot != true ({detail})" if silent else ""


def _user(spec: Object) -> str:
    options = [("pod", _pod_context(spec)), *_contexts(spec)]
    bad = [name for name, own in options if own.get("runAsUser") == 0]
    return (
        f"runAsUser=0 ({_setters(bad)} must not set runAsUser=0)" if bad and spec.get("hostUsers") is not False else ""
    )


def _seccomp(spec: Object) -> str:
    own = {name: (c.get("seccompProfile") or {}).get("type") for name, c in _contexts(spec)}
    pod = (_pod_context(spec).get("seccompProfile") or {}).get("type")
    bad = [*(["pod"] if pod and pod not in _SECCOMP else []), *(n for n, t in own.items() if t and t not in _SECCOMP)]
    if bad:
        values = _quoted(sorted({str(t) for t in (pod, *own.values()) if t and t not in _SECCOMP}))
        return f"seccompProfile ({_setters(bad)} must not set securityContext.seccompProfile.type to {values})"
    silent = [name for name, kind in own.items() if not kind and pod not in _SECCOMP]
    detail = f'pod or {_named(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return f"seccompProfile ({detail})" if silent else ""


_Check = Callable[[Object], str]
_SHARED: Final[tuple[_Check, ...]] = (_apparmor,)
_COMMON: Final[tuple[_Check, ...]] = (_host_ports, _probe_hosts, _privileged, _proc_mount, _selinux, _sysctls)
_BASELINE: Final[tuple[_Check, ...]] = (
    *_SHARED, _capabilities, _host_namespaces, _host_paths, *_COMMON, _unconfined,
)  # fmt: skip
_RESTRICTED: Final[tuple[_Check, ...]] = (
    *_SHARED, _host_namespaces, *_COMMON, _escalation, _dropped_capabilities, _volumes, _non_root, _user, _seccomp,
)  # fmt: skip
