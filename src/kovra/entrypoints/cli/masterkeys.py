"""`kovra keys`: an installation's master keys, for operators."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from kovra.entrypoints.cli.named import Form
from kovra.entrypoints.cli.output import Output, show
from kovra.entrypoints.cli.speaking import speaking

keys = typer.Typer(
    help="An installation's master keys, for operators. An organization's own keys: `kovra encryption`.",
    no_args_is_help=True,
)

Group = Annotated[Literal["edge", "core"], typer.Option("--set", help="Which set of master keys.")]
Folder = Annotated[Path, typer.Argument(help="The folder of keyring-api.json and keyring-worker.json.")]
Version = Annotated[int, typer.Argument(min=1, help="The version.")]


@keys.command("generate")
def keys_generate(folder: Folder) -> None:
    """Make the first version of both sets: one file for the api (no private core half), one for the worker.

    With KOVRA_KMS_KEY_ID set, the files hold keys wrapped by AWS KMS. A keyring that exists is never written over.
    """
    with speaking("keys"):
        from kovra.entrypoints import keyfiles
        from kovra.settings import Settings

        keyfiles.create(folder, Settings())
    print(f"Wrote {folder}/keyring-api.json and {folder}/keyring-worker.json (0600).")


@keys.command("list")
def keys_list(file: Annotated[Path, typer.Argument(help="A keyring file.")], output: Form = Output.text) -> None:
    """Versions and states; never a key."""
    with speaking("keys"):
        from kovra.entrypoints import keyfiles

        found = keyfiles.listed(file)
    lines = [f"{one.set:5} {one.version:3}  {one.state:9}  {', '.join(one.holds)}".rstrip() for one in found]
    show([asdict(one) for one in found], output, "\n".join(lines))


@keys.command("rotate")
def keys_rotate(
    folder: Folder,
    group: Group = "edge",
    staged: Annotated[bool, typer.Option("--staged", help="Let it only open for now; `promote` it later.")] = False,
) -> None:
    """Add a new version; the old one still opens.

    Processes that restart one by one need two steps, so that none meets a version it does not have: rotate --staged,
    restart all, promote, restart all. Then `kovra keys rewrap`.
    """
    with speaking("keys"):
        from kovra.entrypoints import keyfiles
        from kovra.foundation.keyring import MasterSet
        from kovra.settings import Settings

        version = keyfiles.rotate(folder, MasterSet(group), Settings(), staged=staged)
    if staged:
        then = f"kovra keys promote {folder} {version} --set {group}"
        print(f"{group} {version} opens what it wraps. Restart all processes, then run `{then}`.")
    else:
        print(f"{group} {version} is the primary now. Restart all processes, then run `kovra keys rewrap`.")


@keys.command("promote")
def keys_promote(
    folder: Folder, version: Annotated[int, typer.Argument(help="The staged version.")], group: Group = "edge"
) -> None:
    """Make a staged version the primary, once every process has it."""
    with speaking("keys"):
        from kovra.entrypoints import keyfiles
        from kovra.foundation.keyring import MasterSet
        from kovra.settings import Settings

        keyfiles.promote(folder, MasterSet(group), version, Settings())
    print(f"{group} {version} is the primary now. Restart all processes, then run `kovra keys rewrap`.")


@keys.command("disable")
def keys_disable(folder: Folder, version: Version, group: Group = "edge") -> None:
    """Let a version open nothing until it is enabled again; what it wraps answers 503 meanwhile."""
    _restate(folder, group, version, "disabled")


@keys.command("enable")
def keys_enable(folder: Folder, version: Version, group: Group = "edge") -> None:
    """Let a disabled version open again."""
    _restate(folder, group, version, "enabled")


def _restate(folder: Path, group: str, version: int, state: str) -> None:
    with speaking("keys"):
        from kovra.entrypoints import keyfiles
        from kovra.foundation.keyring import MasterSet
        from kovra.foundation.keyring.masters import KeyState
        from kovra.settings import Settings

        keyfiles.restate(folder, MasterSet(group), version, KeyState(state), Settings())
    print(f"{group} {version} is {state}. Restart all processes.")


@keys.command("destroy")
def keys_destroy(folder: Folder, version: Version, group: Group = "edge") -> None:
    """Forget a version's bytes in both files, for ever (KOVRA_DATABASE_URL).

    Refused while it wraps a key, or while a backup that is still kept (KOVRA_BACKUP_RETENTION_DAYS) may need it.
    """
    with speaking("keys"):
        from kovra.entrypoints import keys as wrapped
        from kovra.foundation.keyring import MasterSet
        from kovra.settings import Settings

        asyncio.run(wrapped.destroy_master(folder, MasterSet(group), version, Settings()))
    print(f"{group} {version} is destroyed. Put the files in place, and destroy older copies of them.")


@keys.command("rewrap")
def keys_rewrap(output: Form = Output.text) -> None:
    """Wrap every organization's keys under the primary masters (with the worker's keyring). Safe to repeat.

    Exit code 1 when a key could not be opened; the others are wrapped anew all the same.
    """
    with speaking("keys"):
        from kovra.entrypoints import keys as wrapped
        from kovra.settings import Settings

        done = asyncio.run(wrapped.rewrap_all(Settings()))
    show(asdict(done), output, f"{done.changed} keys of {done.organizations} organizations were wrapped anew.")
    if done.failed:
        sys.stderr.write(f"{done.failed} keys could not be opened; see `key_not_rewrapped` above.\n")
        raise typer.Exit(1)


@keys.command("expire")
def keys_expire(output: Form = Output.text) -> None:
    """Destroy organizations' replaced key versions that no value and no kept backup needs. Safe to repeat; daily."""
    with speaking("keys"):
        from kovra.entrypoints import keys as wrapped
        from kovra.settings import Settings

        ended = asyncio.run(wrapped.expire(Settings()))
    text = f"{ended.destroyed} destroyed, {ended.waiting} wait for backups to end, {ended.needed} are still needed."
    shown = {"destroyed": ended.destroyed, "waiting": ended.waiting, "needed": ended.needed}
    show(shown, output, text)


@keys.command("status")
def keys_status(output: Form = Output.text) -> None:
    """How many holder keys each master version wraps, and from when it may be destroyed."""
    with speaking("keys"):
        from kovra.entrypoints import keys as wrapped
        from kovra.settings import Settings

        found = asyncio.run(wrapped.status(Settings()))
    lines = []
    for one in found:
        until = f"  may be destroyed from {one.destroyable_from}" if one.destroyable_from else ""
        lines.append(f"{one.set:5} {one.version:3}  {one.state:9} wraps {one.wraps}{until}")
    show([asdict(one) for one in found], output, "\n".join(lines))
