"""Pure rules: what a registry is called, wherever it is named."""

from __future__ import annotations

import re
from typing import Final

from kovra.adapters.oci.mirror import ecr_host
from kovra.adapters.oci.reference import ReferenceInvalid, parse
from kovra.features.projects.rules import ImageRules
from kovra.foundation.errors import Invalid

_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)


def role_for(registry: str, role_arn: str) -> str:
    """The role as given, when the registry is one of ECR's that can be asked as it; raises Invalid."""
    host = ecr_host(registry)
    if host is None or host.account is None:
        raise Invalid.field(
            "/registry", "registry_not_ecr", "A role goes with <account>.dkr.ecr.<region>.amazonaws.com alone."
        )
    if _ROLE.fullmatch(role_arn) is None:
        raise Invalid.field("/role_arn", "role_invalid", "The role must be arn:aws:iam::<account>:role/<name>.")
    return role_arn


def registry_named(text: str, images: ImageRules) -> str:
    """The registry as image references name it; raises Invalid where Kovra would not ask it for an image.

    Docker Hub is ``docker.io``, however it is written.
    """
    wrong = Invalid.field(
        "/registry",
        "registry_invalid",
        "The registry must be a host name, as it stands before the first / of an image.",
    )
    try:
        reference = parse(f"{text}/repository/image")
    except ReferenceInvalid:
        raise wrong from None
    # What does not look like a host name is read as a part of Docker Hub's repository.
    if reference.repository != "repository/image":
        raise wrong
    # In the platform's own registry nothing may be named but what operators have opened.
    opened = sorted(images.mirror.open) if images.mirror else []
    images.check(f"{text}/{opened[0] if opened else 'repository'}/image", pointer="/registry")
    return reference.registry


def needed(name: str, value: str | None) -> str:
    """A field that this kind of credential cannot do without; raises Invalid naming it."""
    if value is None:
        raise Invalid.field(f"/{name}", "missing", "This kind of credential needs it.")
    return value


def refuse_fields(kind: str, **fields: str | None) -> None:
    """Fields that this kind of credential has not; raises Invalid naming the first one given."""
    for name, value in fields.items():
        if value is not None:
            raise Invalid.field(f"/{name}", "not_of_this_kind", f"A credential of kind {kind} has none.")
