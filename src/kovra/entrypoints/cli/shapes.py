"""What `--output json` prints, command by command; the page docs/reference/cli-json.md is made of it, and tests hold it.

What comes from the API has the shape that the API's description gives it; the rest is described here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

Fields: TypeAlias = Mapping[str, "Shape"]


@dataclass(frozen=True, slots=True)
class Of:
    """A component of the API's description."""

    name: str


@dataclass(frozen=True, slots=True)
class Many:
    """A list."""

    of: Shape


@dataclass(frozen=True, slots=True)
class Lines:
    """One object on each line (JSON Lines): it is printed as it comes."""

    of: Shape


@dataclass(frozen=True, slots=True)
class Either:
    """One or the other; ``when`` says when it is the other."""

    one: Shape
    other: Shape
    when: str


Shape: TypeAlias = str | Of | Many | Lines | Either | Fields
"""A text is a type: ``text``, ``number``, ``yes or no``, each also as ``… or null``."""

_CONTEXT: Final[Fields] = {
    "name": "text", "current": "yes or no", "url": "text", "organization": "text or null", "account": "text or null",
    "credential": "text or null", "kept_in": "text or null",
}  # fmt: skip
_REVISION: Final = Either(Of("ConfigOut"), Of("DeploymentOut"), "with `--deploy`")

OUTPUTS: Final[Mapping[str, Shape]] = {
    "apply": Of("ChangeSetOut"),
    "apps create": Of("AppOut"),
    "apps list": Many(Of("AppOut")),
    "apps show": Of("AppEnvironmentOut"),
    "autoscale": Of("AppOut"),
    "config get": {"name": "text", "value": "text", "revision": "number"},
    "config list": Of("ConfigOut"),
    "config set": _REVISION,
    "config unset": _REVISION,
    "context add": _CONTEXT,
    "context list": Many(_CONTEXT),
    "context remove": {"name": "text", "removed": "yes or no"},
    "context use": _CONTEXT,
    "cron add": Of("CronJobOut"),
    "cron list": Many(Of("CronJobOut")),
    "cron remove": {"id": "text", "removed": "yes or no"},
    "cron run": Of("RunOut"),
    "deploy": Of("DeploymentOut"),
    "drift": Of("DriftOut"),
    "expose": Of("AppEnvironmentOut"),
    "rollout": Of("AppEnvironmentOut"),
    "promote": Of("DeploymentOut"),
    "maintenance on": Of("AppEnvironmentOut"),
    "maintenance off": Of("AppEnvironmentOut"),
    "encryption rotate": Of("EncryptionOut"),
    "encryption show": Of("EncryptionOut"),
    "environments create": Of("EnvironmentOut"),
    "environments list": Many(Of("EnvironmentOut")),
    "events": Lines(Of("EventOut")),
    "export": Of("KovraFile"),
    "init": {
        "path": "text", "url": "text", "organization": "text or null", "project": "text", "app": "text",
        "environment": "text or null",
    },
    "isolation": Either(Many(Of("IsolationOut")), Of("IsolationProofOut"), "with `--prove`"),
    "jobs list": Many(
        {
            "id": "number", "job": "text", "attempts": "number", "organization": "text or null", "row": "text or null",
            "died_at": "text or null",
        }
    ),
    "keys expire": {"destroyed": "number", "waiting": "number", "needed": "number"},
    "keys list": Many({"set": "text", "version": "number", "state": "text", "holds": Many("text")}),
    "keys rewrap": {"organizations": "number", "changed": "number", "failed": "number"},
    "keys status": Many(
        {"set": "text", "version": "number", "state": "text", "wraps": "number", "destroyable_from": "text or null"}
    ),
    "ledger verify": {"chains": "number", "events": "number", "broken": "object of number"},
    "login": {"url": "text", "organization": "object or null", "context": "text", "kept_in": "text"},
    "logout": {"logged_out": "yes or no", "everywhere": "yes or no"},
    "logs": Lines(Of("LineOut")),
    "members list": Many(Of("MemberOut")),
    "members remove": {"id": "text", "removed": "yes or no"},
    "members role": Of("MemberOut"),
    "open": {"url": "text"},
    "plan": Of("ChangeSetOut"),
    "projects create": Of("ProjectOut"),
    "projects list": Many(Of("ProjectOut")),
    "clusters add": Of("ClusterOut"),
    "clusters add-eks": Of("ClusterOut"),
    "clusters check": Of("ClusterOut"),
    "clusters consent": Of("ClusterOut"),
    "clusters credentials": Of("ClusterOut"),
    "clusters list": Many(Of("ClusterOut")),
    "clusters remove": {"id": "text", "removed": "yes or no"},
    "clusters show": Of("ClusterOut"),
    "registries list": Many(Of("RegistryCredentialOut")),
    "registries remove": {"id": "text", "removed": "yes or no"},
    "registries set": Of("RegistryCredentialOut"),
    "releases": Many(Of("ReleaseOut")),
    "rollback": Either(Of("DeploymentOut"), Of("DiffOut"), "with `--dry-run`"),
    "run": Of("RunOut"),
    "runs cancel": Of("RunOut"),
    "runs list": Many(Of("RunOut")),
    "runs show": Of("RunOut"),
    "scale": Of("DeploymentOut"),
    "secrets list": Of("SecretsOut"),
    "secrets set": _REVISION,
    "secrets unset": _REVISION,
    "status": {
        "app": Of("AppOut"), "app_environments": Many(Of("AppEnvironmentOut")), "deployments": Many(Of("DeploymentOut")),
    },
    "tokens create": Of("TokenCreatedOut"),
    "tokens list": Many(Of("TokenOut")),
    "tokens revoke": {"id": "text", "revoked": "yes or no"},
    "usage": Of("EnvironmentUsageOut"),
    "volumes list": Many(Of("VolumeOut")),
    "volumes remove": Of("VolumeOut"),
    "whoami": Of("MeOut"),
}  # fmt: skip

TROUBLE: Final[Mapping[str, str]] = {
    "code": "stable; the API's own ([codes](codes.md)), or one of the command line's below",
    "message": "a sentence",
    "hint": "what to do, or null",
    "exit_code": "the command's",
    "status": "the API's answer, where there was one",
    "errors": "wrong fields: `[{pointer, message}]`",
    "missing_permission": "with 403",
    "granted_by": "the least role that holds it",
    "retry_after_s": "when to come back, with 429 and 503",
    "request_id": "for whoever runs the server",
}
"""Fields of the object on stderr when a command with ``--output json`` does not do what was asked."""
