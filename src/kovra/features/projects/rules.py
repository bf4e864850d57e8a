"""Pure rules: sizes, process documents, addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from kovra.adapters.oci.mirror import MirrorPlace
from kovra.adapters.oci.reference import ReferenceInvalid, parse
from kovra.foundation.errors import Conflict, FieldError, Invalid, QuotaExceeded
from kovra.foundation.ids import encode
from kovra.foundation.outbound import Refusals, is_plausible

DEFAULT_PROCESSES: Final[dict[str, Any]] = {"web": {"port": 8080, "instances": 1, "size": "nano"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRules:
    """Which image references may be stored: those whose registry Kovra would ask (security: no address of ours)."""

    named: frozenset[str] = frozenset()
    """Registries that operators have named in the setting ``registries``; the only exemption."""
    refusals: Refusals = Refusals()  # noqa: RUF009  # frozen
    mirror: MirrorPlace | None = None
    """The platform's own registry, if it copies images: what is there is nobody's to name."""

    def check(self, image: str | None, *, pointer: str = "/image") -> str | None:
        """The reference as given, when it is one; raises Invalid naming the field. Resolves nothing."""
        if image is None:
            return None
        try:
            reference = parse(image)
        except ReferenceInvalid as wrong:
            raise Invalid.field(pointer, "image_invalid", str(wrong)) from None
        registry = reference.registry
        if self.mirror is not None and self.mirror.is_reserved(reference):
            raise Invalid.field(
                pointer, "registry_not_allowed", "This registry is the platform's own; name an image of another one."
            )
        host, _, port = registry.partition(":")
        fine = port in ("", "443") and is_plausible(host) and not self.refusals.name(host)
        if registry not in self.named and not fine:
            raise Invalid.field(
                pointer,
                "registry_not_allowed",
                "The registry must be a public host name, reached by https on port 443.",
            )
        return image


def check_processes(processes: Mapping[str, Any]) -> None:
    """What one field alone cannot say: the web listens, and a check has a port to knock at; raises Invalid."""
    wrong: list[FieldError] = []
    for name, process in processes.items():
        at = f"/processes/{name}"
        if name == "web" and process.get("port") is None:
            wrong.append(FieldError(pointer=f"{at}/port", code="port_needed", message="The process web needs a port."))
        for kind, check in (process.get("checks") or {}).items():
            reachable = check.get("port") or process.get("port") or check.get("command")
            if not reachable:
                message = "Without a port of the process, a check needs a port or a command."
                wrong.append(FieldError(pointer=f"{at}/checks/{kind}/port", code="port_needed", message=message))
        wrong += _wrong_volumes(at, process)
    if wrong:
        raise Invalid(wrong[0].message, code=wrong[0].code, fields=wrong)


_SYSTEM: Final = ("/proc", "/sys", "/dev", "/etc", "/var/run", "/run", "/bin", "/sbin", "/lib", "/lib64", "/usr")
"""Where no volume may be, nor below: a container does not start, or is another, without what is there."""
_ALONE: Final = "A process with volumes has one instance: a disk is in one place at a time."


def _wrong_volumes(at: str, process: Mapping[str, Any]) -> list[FieldError]:
    volumes: Sequence[Mapping[str, Any]] = process.get("volumes") or []
    if not volumes:
        return []
    wrong = []
    if process.get("instances", 1) > 1:
        wrong.append(FieldError(pointer=f"{at}/instances", code="single_instance", message=_ALONE))
    if process.get("autoscale"):
        wrong.append(FieldError(pointer=f"{at}/autoscale", code="single_instance", message=_ALONE))
    for n, volume in enumerate(volumes):
        before, path = volumes[:n], volume["path"]
        if any(volume["name"] == other["name"] for other in before):
            message = "Another volume of this process has this name."
            wrong.append(FieldError(pointer=f"{at}/volumes/{n}/name", code="name_taken", message=message))
        if any(_are_within(path, other["path"]) for other in before) or any(_is_below(path, s) for s in _SYSTEM):
            message = "Not within another volume, nor where the system is."
            wrong.append(FieldError(pointer=f"{at}/volumes/{n}/path", code="path_not_allowed", message=message))
    return wrong


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _are_within(one: str, other: str) -> bool:
    return _is_below(one, other) or _is_below(other, one)


def check_sizes_kept(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """No volume shrinks; raises Invalid."""
    for name, process in after.items():
        known = {v["name"]: v["size_gib"] for v in (before.get(name) or {}).get("volumes") or []}
        for n, volume in enumerate(process.get("volumes") or []):
            if volume["size_gib"] < known.get(volume["name"], 0):
                pointer = f"/processes/{name}/volumes/{n}/size_gib"
                raise Invalid.field(pointer, "volume_shrinks", "A volume never shrinks; make another one, and copy.")


MAX_INSIDE: Final = 1000
"""Apps, and environments, of one project; deleted ones count until they are purged."""
MAX_PAIRS: Final = 5000
"""App environments of one project: what deleting or restoring it touches in one transaction."""


def check_room(apps: int, environments: int) -> None:
    """Raises Conflict when the project would hold more than it may."""
    if apps > MAX_INSIDE or environments > MAX_INSIDE or apps * environments > MAX_PAIRS:
        raise Conflict(
            "This project is full.",
            code="project_full",
            hint=f"At most {MAX_INSIDE} apps, {MAX_INSIDE} environments and {MAX_PAIRS} pairs of them; use another project.",
        )


def host_label(app_slug: str, environment_slug: str, app_environment_id: UUID) -> str:
    """``<app>-<env>-<last 8 of its id>``, at most 63 characters (RFC 1035); the id's end keeps it unique."""
    end = encode("aev", app_environment_id)[-8:]
    return f"{app_slug[:26].rstrip('-')}-{environment_slug[:26].rstrip('-')}-{end}"


def internal_host(app_slug: str, environment_id: UUID) -> str:
    """The name of the process ``web`` inside the cluster, for every namespace: that of its Service in its environment's."""
    return f"{app_slug}.kv-{encode('env', environment_id)[4:]}.svc"


def has_private_networking(plan: str) -> bool:
    """Whether apps may be private on this plan, and be reached from the organization's other environments."""
    return plan in ("business", "enterprise")


def check_reach(exposure: str, egress: str, plan: str) -> None:
    """What is not public needs a plan for it; raises QuotaExceeded. Being public again needs none."""
    if (exposure == "public" and egress == "internet") or has_private_networking(plan):
        return
    raise QuotaExceeded(
        f"Private networking is not in the plan {plan}.",
        code="plan_lacks_private_networking",
        hint="It comes with the business plan and above.",
        facts={"plan": plan},
    )


def check_scale(scale: Mapping[str, int], processes: Mapping[str, Any]) -> None:
    """Every name must be a process of the app, and one whose instances are not the cluster's to decide."""
    for name in scale:
        if name not in processes:
            raise Invalid.field(f"/scale/{name[:40]}", "unknown_process", "The app has no such process.")
        if processes[name].get("autoscale"):
            raise Invalid.field(f"/scale/{name}", "autoscaled", f"The process {name} is autoscaled; change its bounds.")
        if processes[name].get("volumes") and scale[name] > 1:
            raise Invalid.field(f"/scale/{name}", "single_instance", _ALONE)
