"""Server verbs: the processes, migrations, keys, jobs, the description of the API."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from kovra.entrypoints.cli.jobs import jobs
from kovra.entrypoints.cli.masterkeys import keys
from kovra.entrypoints.cli.named import Form
from kovra.entrypoints.cli.output import Output, show
from kovra.entrypoints.cli.speaking import speaking

ledger = typer.Typer(help="The record of what happened.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    for verb in (api, worker, streamer, simulator, dev, page, migrate, bootstrap, manifests, openapi):
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


def page(
    host: Annotated[str, typer.Option(help="Where it listens.")] = "0.0.0.0",  # noqa: S104  # a container's own
    port: Annotated[int, typer.Option(help="Its port.", min=1, max=65535)] = 8080,
) -> None:
    """Answer for apps in maintenance: 503, a page and Retry-After, to whoever asks for whatever."""
    with speaking("page"):
        from kovra.entrypoints import page as process

        process.serve(host, port)


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
    page_image: Annotated[
        str | None, typer.Option(help="Kovra's own image: also print the page for apps in maintenance.")
    ] = None,
    gateway_namespace: Annotated[str, typer.Option(help="Where that page and its routes are.")] = "kovra-gateway",
) -> None:
    """Print what a cluster needs before Kovra drives it: accounts, roles, admission policies (for kubectl apply)."""
    import yaml

    from kovra.adapters.cluster.manifests.page import page_manifests
    from kovra.adapters.cluster.manifests.policies import policy_manifests
    from kovra.adapters.cluster.manifests.streamer import streamer_manifests
    from kovra.adapters.cluster.manifests.worker import service_account_user, worker_manifests

    worker = user or service_account_user(namespace)
    made = [
        *worker_manifests(namespace),
        *streamer_manifests(namespace, shells=shells),
        *policy_manifests(worker, registry=registry),
        *(page_manifests(gateway_namespace, page_image, worker) if page_image else ()),
    ]
    print(yaml.safe_dump_all(made, sort_keys=False), end="")


def openapi() -> None:
    """Print the OpenAPI document."""
    with speaking("openapi"):
        import json

        from kovra.entrypoints import description

        print(json.dumps(description.document(), indent=2, sort_keys=True))


@ledger.command("verify")
def ledger_verify(output: Form = Output.text) -> None:
    """Follow every organization's hash chain; exit code 1 when an event was changed, removed or put elsewhere."""
    with speaking("ledger"):
        from kovra.settings import Settings

        settings = Settings()
        from kovra.entrypoints import ledger as chains
        from kovra.foundation.ids import encode

        found = asyncio.run(chains.verify_all(settings))
    broken = {encode("org", one.org_id): one.broken_at for one in found if one.broken_at is not None}
    checked = sum(one.events for one in found)
    lines = [f"{name}: broken at event {at}" for name, at in broken.items()]
    lines.append(f"{len(found)} chains with {checked} events were followed, {len(broken)} are broken.")
    show({"chains": len(found), "events": checked, "broken": broken}, output, "\n".join(lines))
    if broken:
        raise typer.Exit(1)
