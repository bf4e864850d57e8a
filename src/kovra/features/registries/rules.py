"""Pure rules: what a registry is called, wherever it is named."""

from __future__ import annotations

from kovra.adapters.oci.reference import ReferenceInvalid, parse
from kovra.features.projects.rules import ImageRules
from kovra.foundation.errors import Invalid


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
