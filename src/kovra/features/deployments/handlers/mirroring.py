"""Copying a release's image into the mirror, over as many steps as it takes, before the release is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from kovra.adapters.cluster.manifests.labels import bare
from kovra.adapters.oci.client import Credential, ImageNotFound, ImagePullDenied, Registries
from kovra.adapters.oci.copying import Copy, ImageTooLarge, ImageVanished
from kovra.adapters.oci.pushing import MirrorFull, MirrorRefused, Target
from kovra.adapters.oci.reference import ImageReference, parse
from kovra.features.deployments import queries
from kovra.features.deployments.handlers.steps import StepFailed
from kovra.features.deployments.messages import ImageCopied
from kovra.features.deployments.rules.reasons import reason
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.mirroring import Mirror
from kovra.features.deployments.service.progress import Step
from kovra.foundation import clock
from kovra.foundation.errors import KovraError, Unavailable
from kovra.foundation.events import record
from kovra.foundation.ids import encode
from kovra.foundation.jobs.handling import JobContext

_SHARE: Final = 0.75
"""Of the step's time; the rest is for the part under way, and for writing down how far it came."""
_TELL_S: Final = 2.0
"""How often it is written down: what a worker that is killed has copied since is asked for again."""


def kept_at(context: JobContext, mirror: Mirror, app_id: UUID, digest: str) -> str:
    """The reference by which an app's pods run an image of this digest from the mirror."""
    return f"{mirror.place.registry}/{_home(context, mirror, app_id)}@{digest}"


def _home(context: JobContext, mirror: Mirror, app_id: UUID) -> str:
    return mirror.place.home(bare("org", context.org_id), bare("app", app_id))


async def copied(
    context: JobContext, step: Step, mirror: Mirror, source: ImageReference, digest: str, credential: Credential | None
) -> bool:
    """Go on with the copy; True when the image is there as a whole, False: another step is asked for.

    ``source`` names the repository, ``digest`` the manifest that our nodes run. Raises StepFailed or Unavailable.
    """
    d = step.deployment
    kept = d.progress.get("copying") or {}
    copy = Copy(uploads=dict(kept.get("uploads") or {}))
    teller = _Teller(context, step, copy)
    until = clock.monotonic() + max(0.0, context.until - clock.monotonic()) * _SHARE
    async with _as_reasons(step, source):
        target = await _target(context, mirror, d.app_id)
        asked = context.registry.get(Registries).repository(source, credential)
        try:
            await mirror.copier.copy(asked, target, digest, until=until, copy=copy, told=teller.heard)
        finally:
            # Whoever writes to this row next, in this step, keeps it.
            d.progress["copying"] = teller.document()
    async with context.session() as session:
        if copy.done:
            if copy.total_bytes:
                at = kept_at(context, mirror, d.app_id, digest)
                aev = encode("aev", d.app_environment_id)
                told = ImageCopied(
                    subject_id=d.id, app_environment_id=aev, image=source.pinned(digest), runs_from=at,
                    size_bytes=copy.total_bytes,
                )  # fmt: skip
                record(session, told, scope=d.scope, origin="worker")
            d.progress["copying"] = None
        else:
            await progress.remember(session, step, teller.document_and_words())
            progress.again(session, d)
    return copy.done


class _Teller:
    """Writes down how far a copy is, now and then."""

    def __init__(self, context: JobContext, step: Step, copy: Copy) -> None:
        self._context = context
        self._step = step
        self._copy = copy
        self._told_at = clock.monotonic()

    def document(self) -> dict[str, Any]:
        """What the next step must know."""
        return {
            "uploads": dict(self._copy.uploads),
            "bytes": self._copy.copied_bytes,
            "total_bytes": self._copy.total_bytes,
        }

    def document_and_words(self) -> dict[str, Any]:
        """The same, and what people are shown meanwhile."""
        done, whole = self._copy.copied_bytes // 2**20, -(-self._copy.total_bytes // 2**20)
        return {"copying": self.document(), "waiting_for": f"its image to be copied: {done} of {whole} MiB"}

    async def heard(self, _copy: Copy) -> None:
        """Another part is there."""
        if clock.monotonic() - self._told_at < _TELL_S:
            return
        self._told_at = clock.monotonic()
        self._context.check_time()
        async with self._context.session() as session:
            await progress.remember(session, self._step, self.document_and_words())


async def _target(context: JobContext, mirror: Mirror, app_id: UUID) -> Target:
    home = _home(context, mirror, app_id)
    await mirror.home.ensure(home)
    pushes_as = await mirror.home.credential()
    async with context.session() as session:
        # Only where this organization has copies already is a blob mounted from: the rows are under its policy.
        below = f"{mirror.place.registry}/{mirror.place.home(bare('org', context.org_id), '')}"
        other = await session.find(queries.OTHER_COPIED_APP, org_id=context.org_id, app_id=app_id, below=below)
    mounts_from = _home(context, mirror, other.id) if other else None
    reference = parse(f"{mirror.place.registry}/{home}")
    repository = context.registry.get(Registries).repository(reference, pushes_as, pushes=True, mounts_from=mounts_from)
    return Target(repository, mounts_from=mounts_from)


async def forget_copies(context: JobContext, mirror: Mirror, app_id: UUID) -> None:
    """Remove an app's repository from the mirror; what is gone already is fine."""
    home = _home(context, mirror, app_id)
    if not await mirror.home.forget(home):
        await (await _target(context, mirror, app_id)).remove_all()


@asynccontextmanager
async def _as_reasons(step: Step, source: ImageReference) -> AsyncIterator[None]:
    phase, text = step.deployment.phase, source.name
    try:
        yield
    except (ImageTooLarge, ImageVanished, MirrorRefused, MirrorFull, ImagePullDenied) as refused:
        raise StepFailed(reason(refused.error_code, phase, [f"{text}: {refused.message}"])) from None
    except Unavailable:
        raise
    except ImageNotFound as missing:
        raise StepFailed(reason("image_not_found", phase, [f"{text}: {missing.message}"])) from None
    except KovraError as refused:
        if refused.error_code != "image_invalid":
            raise
        raise StepFailed(reason("image_invalid", phase, [f"{text}: {refused.message}"])) from None
