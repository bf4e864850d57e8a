"""Keyring documents: where a process's master keys come from, and operators' work on the two files.

``keyring-worker.json`` holds everything, ``keyring-api.json`` no private core half. With ``KOVRA_KMS_KEY_ID`` set, both
hold ciphertexts that only AWS KMS opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kovra.foundation.keyring import KeyBroken, MasterKey, MasterKeys, MasterSet
from kovra.foundation.keyring.documents import Turn, from_document, read_file, write_file
from kovra.foundation.keyring.masters import KeyState, generate, promoted, restated, rotated
from kovra.settings import Settings

if TYPE_CHECKING:
    from kovra.adapters.aws.kms import KmsOptions

WORKER: Final = "keyring-worker.json"
API: Final = "keyring-api.json"


def master_keys(settings: Settings) -> MasterKeys:
    """The master keys of this process. Blocks while KMS is asked, where it is configured."""
    document = settings.keyring_document()
    if settings.kms_key_id is None:
        return MasterKeys(from_document(document))
    # boto3 is imported by processes that need it, and by no others.
    from kovra.adapters.aws.kms import KmsSource

    return MasterKeys(KmsSource(document=document, options=_options(settings, settings.kms_key_id)).load())


def create(folder: Path, settings: Settings) -> None:
    """The first version of both sets; raises KeyBroken where a keyring is, since losing it loses every value."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in (WORKER, API):
        if (folder / name).exists():
            raise KeyBroken(f"{name} exists already, and a keyring is never written over; use `kovra keys rotate`.")
    _write(folder, settings, [generate(MasterSet.edge, 1), generate(MasterSet.core, 1)])


def rotate(folder: Path, group: MasterSet, settings: Settings, *, staged: bool = False) -> int:
    """Add a version to both files, as primary or, staged, to be promoted later; returns its number."""
    made = _change(folder, settings, lambda known: rotated(known, group, staged=staged))
    return max(k.version for k in made if k.set is group)


def promote(folder: Path, group: MasterSet, version: int, settings: Settings) -> None:
    """Make a version, which every node has by now, the one that wraps."""
    _change(folder, settings, lambda known: promoted(known, group, version))


def restate(folder: Path, group: MasterSet, version: int, state: KeyState, settings: Settings) -> None:
    """Enable, disable or destroy a version in both files; for destroying, the caller has proven that nothing needs it."""
    _change(folder, settings, lambda known: restated(known, group, version, state))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A version in a keyring file."""

    set: str
    version: int
    state: str
    holds: list[str]
    """Which parts of it the file has: ``public``, ``private``, ``key``, ``wrapped``."""


def listed(file: Path) -> list[Listed]:
    """Every version; asks no provider and shows no key. Raises KeyBroken."""
    document = read_file(file)
    try:
        return [_listed(group, entry) for group in MasterSet for entry in document.get(group.value, ())]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise KeyBroken("The keyring file is not as this program writes it.") from None


def _listed(group: MasterSet, entry: Mapping[str, object]) -> Listed:
    holds = [part for part in ("public", "private", "key", "wrapped") if part in entry]
    return Listed(set=group.value, version=int(str(entry["version"])), state=str(entry["state"]), holds=holds)


def _change(folder: Path, settings: Settings, change: Callable[[list[MasterKey]], list[MasterKey]]) -> list[MasterKey]:
    with _turns(settings) as (_, unwrap):
        made = change(from_document(read_file(folder / WORKER), unwrap=unwrap))
    _write(folder, settings, made)
    return made


def _write(folder: Path, settings: Settings, keys: list[MasterKey]) -> None:
    with _turns(settings) as (wrap, _):
        # The worker's first: it holds everything, and the api's can be made of it again.
        write_file(folder / WORKER, keys, wrap=wrap)
        write_file(folder / API, keys, private=False, wrap=wrap)


@contextmanager
def _turns(settings: Settings) -> Iterator[tuple[Turn | None, Turn | None]]:
    """(wrap, unwrap) of KMS, or neither."""
    if settings.kms_key_id is None:
        yield None, None
        return
    from kovra.adapters.aws.kms import Kms

    kms = Kms(_options(settings, settings.kms_key_id))
    try:
        yield kms.wrap, kms.unwrap
    finally:
        kms.close()


def _options(settings: Settings, key_id: str) -> KmsOptions:
    from kovra.adapters.aws.kms import KmsOptions

    return KmsOptions(
        key_id=key_id,
        region=settings.kms_region,
        environment=settings.kms_environment,
        endpoint_url=settings.kms_endpoint,
    )
