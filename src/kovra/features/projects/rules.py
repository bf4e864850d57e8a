"""Pure rules: sizes, process documents, addresses."""

from __future__ import annotations

from collections.abc import Mapping
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
    if wrong:
        raise Invalid(wrong[0].message, code=wrong[0].code, fields=wrong)


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
