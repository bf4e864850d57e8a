"""Server verbs: the processes, migrations, keys, jobs, the description of the API."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from kovra.entrypoints.cli.jobs import jobs
from kovra.entrypoints.cli.speaking import speaking

keys = typer.Typer(help="Master keys.", no_args_is_help=True)
ledger = typer.Typer(help="The record of what happened.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    for verb in (api, worker, streamer, simulator, dev, migrate, bootstrap, manifests, openapi):
        app.command(rich_help_panel="Server")(verb)
    app.add_typer(keys, name="keys", rich_help_panel="Server")
    app.add_typer(jobs, name="jobs", rich_help_panel="Server")
    app.add_typer(ledger, name="ledger", rich_help_panel="Server")


def api() -> None:
    """Serve the HTTP API."""
    with speaking("api"):
        from kovra.settings import Settings

        settings = Settings()  # what is wrong with them is said at once
        from kovra.entrypoints import serve

        serve.api(settings)


def worker() -> None:
    """Run jobs, watch the cluster, sweep what is due."""
    with speaking("worker"):
        from kovra.settings import Settings

        settings = Settings()
        from kovra.entrypoints import worker as process

        asyncio.run(process.run(settings))


def streamer() -> None:
    """Stream logs, shells and metrics of pods to the api: the one process with the right to."""
    with speaking("streamer"):
        from kovra.entrypoints import streamer as process

        process.main()


def simulator(
    kubeconfig: Annotated[Path, typer.Option(help="Where to write how to reach it.")],
    port: Annotated[int, typer.Option(help="API port; 0: any.")] = 0,
    apps_port: Annotated[int, typer.Option(help="Port on which apps answer; 0: any.")] = 0,
    speed: Annotated[float, typer.Option(help="How much faster than real its clock runs.")] = 1.0,
    ready_file: Annotated[Path | None, typer.Option(help="Written when it listens.")] = None,
) -> None:
    """Simulate a cluster, with a registry and app pages."""
    with speaking("simulator"):
        from kovra.adapters.cluster.simulator import SimulatorOptions
        from kovra.entrypoints import serve

        token = os.environ.get("KOVRA_SIMULATOR_TOKEN")
        options = SimulatorOptions(port=port, apps_port=apps_port, speed=speed, token=token)
        asyncio.run(serve.simulator(options, kubeconfig, ready_file))


def dev(
    data_dir: Annotated[
        Path | None, typer.Option(help="Database, keys and logs; default: .kovra, with --kubeconfig .kovra-cluster.")
    ] = None,
    port: Annotated[int, typer.Option(help="The API's port.", min=1, max=65535)] = 8080,
    apps_port: Annotated[int, typer.Option(help="Port on which simulated apps answer.", min=1, max=65535)] = 8081,
    kubeconfig: Annotated[Path | None, typer.Option(help="A real cluster; default: the simulator.")] = None,
    speed: Annotated[float, typer.Option(help="The simulator's clock.", min=0.1, max=100)] = 2.0,
    demo: Annotated[bool, typer.Option(help="Make demo data at the first start.")] = True,
) -> None:
    """Run the whole product on this machine, with nothing else installed.

    KOVRA_DATABASE_URL uses a server that runs; with KOVRA_ADMIN_URL its roles and database are made, with
    KOVRA_MIGRATOR_URL it is migrated.
    """
    with speaking("dev"):
        from kovra.entrypoints import dev as product
        from kovra.entrypoints.devdatabase import GivenServer
        from kovra.settings import Settings, given

        settings = Settings()
        app_url = given(settings.database_url)
        server = app_url and GivenServer(
            app_url=app_url, admin_url=given(settings.admin_url), migrator_url=given(settings.migrator_url)
        )
        folder = data_dir or Path(".kovra" if kubeconfig is None else ".kovra-cluster")
        options = product.DevOptions(
            data_dir=folder.absolute(), port=port, apps_port=apps_port, speed=speed, demo=demo, server=server or None,
            kubeconfig=kubeconfig.expanduser().absolute() if kubeconfig else None,
        )  # fmt: skip
        asyncio.run(product.run(options))


def migrate() -> None:
    """Bring the database's schema to this program's head (KOVRA_MIGRATOR_URL)."""
    with speaking("migrate"):
        from kovra.entrypoints import migrate as migrations
        from kovra.settings import Settings, needed

        settings = Settings()
        migrations.upgrade(needed(settings.migrator_url, "KOVRA_MIGRATOR_URL"), production=settings.production)


def bootstrap(
    database: Annotated[str, typer.Option(help="The database to make.")] = "kovra",
) -> None:
    """Make roles and database on an empty server: KOVRA_ADMIN_URL (a superuser), KOVRA_{APP,MIGRATOR,BACKUP}_PASSWORD."""
    with speaking("bootstrap"):
        from kovra.foundation.db import dsn
        from kovra.foundation.db.bootstrap import RolePasswords
        from kovra.foundation.db.bootstrap import bootstrap as make
        from kovra.settings import Settings, needed

        settings = Settings()
        address = dsn.parse(needed(settings.admin_url, "KOVRA_ADMIN_URL"), production=settings.production)
        passwords = RolePasswords(
            migrator=needed(settings.migrator_password, "KOVRA_MIGRATOR_PASSWORD"),
            app=needed(settings.app_password, "KOVRA_APP_PASSWORD"),
            backup=needed(settings.backup_password, "KOVRA_BACKUP_PASSWORD"),
        )
        asyncio.run(make(address.asyncpg(), database=database, passwords=passwords))


def manifests(
    namespace: Annotated[str, typer.Option(help="Where Kovra's own processes run.")] = "kovra",
    user: Annotated[
        str | None, typer.Option(help="As whom the cluster knows the worker; default: its service account there.")
    ] = None,
    registry: Annotated[
        str | None, typer.Option(help="The installation's own registry, whose images belong to organizations.")
    ] = None,
    shells: Annotated[bool, typer.Option(help="Whether the streamer may open shells.")] = False,
) -> None:
    """Print what a cluster needs before Kovra drives it: accounts, roles, admission policies (for kubectl apply)."""
    import yaml

    from kovra.adapters.cluster.manifests.policies import policy_manifests
    from kovra.adapters.cluster.manifests.streamer import streamer_manifests
    from kovra.adapters.cluster.manifests.worker import service_account_user, worker_manifests

    made = [
        *worker_manifests(namespace),
        *streamer_manifests(namespace, shells=shells),
        *policy_manifests(user or service_account_user(namespace), registry=registry),
    ]
    print(yaml.safe_dump_all(made, sort_keys=False), end="")


def openapi() -> None:
    """Print the OpenAPI document."""
    with speaking("openapi"):
        import json

        from kovra.entrypoints import description

        print(json.dumps(description.document(), indent=2, sort_keys=True))


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
def keys_list(file: Annotated[Path, typer.Argument(help="A keyring file.")]) -> None:
    """Versions and states; never a key."""
    with speaking("keys"):
        from kovra.entrypoints import keyfiles

        for line in keyfiles.listed(file):
            print(line)


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
def keys_rewrap() -> None:
    """Wrap every organization's keys under the primary masters (with the worker's keyring). Safe to repeat.

    Exit code 1 when a key could not be opened; the others are wrapped anew all the same.
    """
    with speaking("keys"):
        from kovra.entrypoints import keys as wrapped
        from kovra.settings import Settings

        done = asyncio.run(wrapped.rewrap_all(Settings()))
    print(f"{done.changed} keys of {done.organizations} organizations were wrapped anew.")
    if done.failed:
        sys.stderr.write(f"{done.failed} keys could not be opened; see `key_not_rewrapped` above.\n")
        raise typer.Exit(1)


@keys.command("expire")
def keys_expire() -> None:
    """Destroy organizations' replaced key versions that no value and no kept backup needs. Safe to repeat; daily."""
    with speaking("keys"):
        from kovra.entrypoints import keys as wrapped
        from kovra.settings import Settings

        ended = asyncio.run(wrapped.expire(Settings()))
    print(f"{ended.destroyed} destroyed, {ended.waiting} wait for backups to end, {ended.needed} are still needed.")


@keys.command("status")
def keys_status() -> None:
    """How many holder keys each master version wraps, and from when it may be destroyed."""
    with speaking("keys"):
        from kovra.entrypoints import keys as wrapped
        from kovra.settings import Settings

        for line in asyncio.run(wrapped.status(Settings())):
            print(line)


@ledger.command("verify")
def ledger_verify() -> None:
    """Follow every organization's hash chain; exit code 1 when an event was changed, removed or put elsewhere."""
    with speaking("ledger"):
        from kovra.settings import Settings

        settings = Settings()
        from kovra.entrypoints import ledger as chains
        from kovra.foundation.ids import encode

        found = asyncio.run(chains.verify_all(settings))
    broken = [one for one in found if one.broken_at is not None]
    for one in broken:
        print(f"{encode('org', one.org_id)}: broken at event {one.broken_at}")
    print(
        f"{len(found)} chains with {sum(one.events for one in found)} events were followed, {len(broken)} are broken."
    )
    if broken:
        raise typer.Exit(1)
