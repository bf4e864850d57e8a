"""Settings about images: how registries are reached, and where copies are kept."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from kovra.adapters.oci.mirror import MirrorPlace
from kovra.settings.shapes import Mirror, Registry


class ImageSettings(BaseSettings):
    """Where images come from."""

    model_config = SettingsConfigDict(
        env_prefix="KOVRA_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    registries: dict[str, Registry] = Field(default_factory=dict)
    """Registry name → where the control plane reaches it; the only exemption from the outbound rules."""
    image_platform: Annotated[str, Field(pattern=r"^[a-z0-9]+/[a-z0-9]+$")] = "linux/amd64"
    """What the nodes run; of an image for several platforms this one is taken."""
    images_mirror: Literal["off", "registry"] = "off"
    """``registry``: images are copied by digest into ``KOVRA_MIRROR`` before a release is written, and pods run them from
    there alone. api and worker need it, the worker the credentials too."""
    mirror: Mirror | None = None
    """The registry that copies are kept in, and how much is copied."""
    mirror_username: str | None = None
    """As whom the worker pushes copies; unset for ECR, where it comes by its own role."""
    mirror_password: SecretStr | None = None
    """The password or token of that user."""
    mirror_pull_username: str | None = None
    """As whom nodes pull copies, by a Secret in each environment; it should be able to pull and no more. Unset: nodes may
    pull by a role of their own."""
    mirror_pull_password: SecretStr | None = None
    """The password or token of that user."""
    aws_endpoint: str | None = None
    """Another address of STS and ECR than AWS's public ones."""

    @model_validator(mode="after")
    def _a_mirror_needs_a_registry(self) -> Self:
        if self.images_mirror == "registry" and self.mirror is None:
            raise ValueError("KOVRA_MIRROR goes with KOVRA_IMAGES_MIRROR=registry")
        return self

    def named_registries(self) -> frozenset[str]:
        """Names of the registries that are reached as operators say."""
        return frozenset(name.lower() for name in self.registries)

    def mirror_place(self) -> MirrorPlace | None:
        """Where copies of images are kept; None: none are made."""
        if self.images_mirror == "off" or self.mirror is None:
            return None
        return MirrorPlace(
            registry=self.mirror.registry.lower(), prefix=self.mirror.prefix, open=frozenset(self.mirror.open)
        )
