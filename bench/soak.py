"""A soak on a real node: deployments of every kind for as long as is said, while parts are killed and the node is drained.

``python -m bench.soak --minutes 60 --kill api_server='COMMAND' --kill kubelet='COMMAND'``: on the cluster and the registry of
test images that KOVRA_TEST_KUBECONFIG and KOVRA_TEST_REGISTRY name. What kills a part of the cluster, which must come back by
itself, is the caller's to say. api and two workers run as processes, the workers under their own account's few rights.

Every verdict is checked by what was deployed, and after each what serves, in the API and in the cluster. At the end nothing may
be left. It ends with 1 and the first wrong thing, and by itself: all of it is on loopback and in that cluster.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shlex
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
from tests.support.cluster_accounts import USER, account_kubeconfig, prepare
from tests.support.installation import Cluster, Parts, installed
from tests.support.postgres import TEMPLATE
from tests.support.watching import Person

from bench.logs import rss_mib
from bench.soaking.disturbing import Disturber
from bench.soaking.driving import Driven, Tally
from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.manifests.worker import WORKER
from kovra.foundation.keyring.documents import write_file
from kovra.foundation.keyring.masters import MasterSet, generate

_LEFT_S: Final = 240.0
"""Within so long everything is gone."""
_MINE: Final = "app.kubernetes.io/managed-by=kovra"
_KINDS: Final = (
    ("v1", "Namespace"), ("v1", "Secret"), ("v1", "Pod"), ("v1", "Service"), ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"), ("batch/v1", "Job"), ("policy/v1", "PodDisruptionBudget"),
)  # fmt: skip
_EMPTY: Final = {
    "jobs not done": "select count(*) from procrastinate_jobs where status in ('todo', 'doing') and task_name not in "
    "('CheckDrift', 'CheckWalls')",
    "dead letters": "select count(*) from procrastinate_jobs where status in ('failed', 'aborted')",
    "open deployments": "select count(*) from deployments where outcome is null",
    "leases": "select count(*) from deployments where lease_owner is not null",
}
"""What must count nothing when all is over, before anything is purged."""
_PURGED: Final = ("app_environments", "environments", "apps", "projects", "releases", "deployments", "secrets")


class Soak:
    """One run."""

    def __init__(self, product: Parts, admin: ClusterClient, options: argparse.Namespace) -> None:
        self._product, self._admin, self._options = product, admin, options
        self._chance = random.Random(options.seed)  # to be repeated
        self._tally = Tally()
        self._held: list[dict[str, float]] = []
        self._people: list[Person] = []
        self._apps: list[Driven] = []

    async def run(self) -> None:
        """Make the apps, drive and disturb them, look what is left."""
        await self._made()
        seconds = self._options.minutes * 60
        ends = time.monotonic() + seconds
        commands = dict(self._options.kill)
        disturber = Disturber(self._product, self._admin, commands, self._chance, self._tally)
        async with asyncio.TaskGroup() as group:
            for app in self._apps:
                group.create_task(app.drive(ends))
            group.create_task(disturber.disturb(ends, self._options.every))
            group.create_task(self._sample(seconds))
        print("disturbed:", dict(disturber.done), "evictions:", dict(disturber.evictions))
        self._say_verdicts()
        await self._settled()
        await self._purged()
        self._say_memory()

    async def _made(self) -> None:
        for _ in range(2):
            person = Person(self._product.port)
            await person.sign_up()
            body = {"name": "soak", "permissions": await _all_permissions(person)}
            # An access token would end within ten minutes.
            person.token = (await person.call("POST", "/v1/tokens", body))["token"]
            self._people.append(person)
        for number in range(self._options.apps):
            person = self._people[number % 2]
            if number % 4 < 2:  # two apps in each project
                await person.call("POST", "/v1/projects", {"name": "P", "slug": f"p{number // 4}"})
            app = Driven(person, self._admin, self._tally, random.Random(f"{self._options.seed} {number}"))
            await app.make(f"p{number // 4}", f"App {number}")
            self._apps.append(app)

    async def _sample(self, seconds: float) -> None:
        """Resident memory after a tenth of the time, when all has been used once, and after each quarter."""
        began = time.monotonic()
        for share in (0.1, 0.25, 0.5, 0.75, 1.0):
            await asyncio.sleep(max(0.0, began + share * seconds - time.monotonic()))
            processes = {"api": self._product.api, "worker": self._product.worker}
            found = {name: rss_mib(one.running.pid) for name, one in processes.items() if one.running}
            self._held.append(found)
            print(f"  after {share:.0%}: {found}, {self._tally.verdicts.total()} verdicts", flush=True)

    def _say_verdicts(self) -> None:
        print(f"{self._tally.verdicts.total()} verdicts, each right:")
        for name, count in sorted(self._tally.verdicts.items()):
            print(f"  {count:5d}  {name}, the slowest after {self._tally.slowest_s[name]:.0f} s")
        print(f"  {self._tally.without_lines} without last lines, their pods having been taken away meanwhile")

    def _say_memory(self) -> None:
        for name in self._held[0]:
            print(f"{name}: " + ", ".join(f"{sampled[name]:.0f}" for sampled in self._held) + " MiB")
            first, last = self._held[1][name], self._held[-1][name]
            assert last <= first * 1.1 + 8, f"{name} has grown from {first:.0f} to {last:.0f} MiB"

    async def _settled(self) -> None:
        """When the last verdict is given and watch windows are over, nothing is under way, and no app has objects too many."""
        await self._until(self._open, "is still open")
        for app in self._apps:
            labels = f"kovra.io/app-environment={app.path.rsplit('aev_', 1)[1]}"
            found = {
                kind: len((await self._admin.list(version, kind, app.namespace, labels=labels))["items"])
                for version, kind in (("v1", "Secret"), ("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet"))
            }
            # Four at most: the one at work and the three that Kubernetes is asked to keep.
            assert found["Secret"] == found["Deployment"] == 1, (app.path, found)
            assert found["ReplicaSet"] <= 4, (app.path, found)

    async def _open(self) -> dict[str, int]:
        return {name: count for name, text in _EMPTY.items() if (count := (await self._sql(text))[0][0])}

    async def _purged(self) -> None:
        """Everything is deleted, and its undo window is over: no object and no row stays."""
        for person in self._people:
            for project in (await person.call("GET", "/v1/projects"))["data"]:
                answer = await person.client.request(
                    "DELETE", f"/v1/projects/{project['id']}?cascade={project['slug']}",
                    headers={"Authorization": f"Bearer {person.token}"},
                )  # fmt: skip
                assert answer.status_code < 300, answer.text
        await self._sql("update projects set purge_at = now() - interval '1 second'")
        await self._until(self._left, "is left")
        await self._until(self._open, "is left")
        for person in self._people:
            await person.client.aclose()
        print("nothing is left: no object in the cluster, no row, no job, no lease")

    async def _left(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for version, kind in _KINDS:
            if items := (await self._admin.list(version, kind, labels=_MINE))["items"]:
                found[kind] = [item["metadata"]["name"] for item in items][:5]
        for table in _PURGED:
            if count := (await self._sql(f"select count(*) from {table}"))[0][0]:  # names of ours
                found[table] = count
        return found

    async def _until(self, look: Any, told: str) -> None:
        began = time.monotonic()
        while found := await look():
            if time.monotonic() - began > _LEFT_S:
                raise AssertionError(f"{found} {told}")
            await asyncio.sleep(2)

    async def _sql(self, statement: str) -> list[Any]:
        connection = await asyncpg.connect(**self._product.server.superuser(TEMPLATE))  # type: ignore[arg-type]
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()


async def _all_permissions(person: Person) -> list[str]:
    roles = (await person.call("GET", "/v1/roles"))["data"]
    return list(next(role["permissions"] for role in roles if role["name"] == "admin"))


@asynccontextmanager
async def _product(folder: Path, options: argparse.Namespace) -> AsyncIterator[tuple[Parts, ClusterClient]]:
    kubeconfig = Path(os.environ["KOVRA_TEST_KUBECONFIG"])
    admin = await from_kubeconfig(kubeconfig)
    try:
        await prepare(admin, registry="own.test")
        lasts_s = int(options.minutes * 60) + 1800
        own = folder / "kubeconfig"
        own.write_text(json.dumps(await account_kubeconfig(admin, kubeconfig, WORKER, lasts_s=lasts_s)))
        made = [generate(MasterSet.edge, 1), generate(MasterSet.core, 1)]
        write_file(folder / "api.json", made, private=False)
        write_file(folder / "worker.json", made)
        settings: dict[str, str] = {
            "KOVRA_UNLIMITED": "true", "KOVRA_CLUSTER_USER": USER, "KOVRA_SETTLING_S": "2", "KOVRA_MIN_READY_S": "1",
            "KOVRA_PROGRESS_DEADLINE_S": str(options.progress), "KOVRA_SWEEP_S": "2", "KOVRA_LOG_LEVEL": "info",
        }  # fmt: skip
        cluster = Cluster(worker=own, streamer=own, registry=os.environ["KOVRA_TEST_REGISTRY"])
        async with installed(folder, folder / "postgres", folder, cluster, workers=2, **settings) as product:
            yield product, admin
    finally:
        await admin.close()


async def main(options: argparse.Namespace) -> None:
    """Run it in a folder of its own, whose logs are kept when something is wrong."""
    folder = Path(tempfile.mkdtemp(prefix="kovra-soak-"))
    folder.chmod(0o711)
    began = time.monotonic()
    try:
        async with _product(folder, options) as (product, admin):
            await Soak(product, admin, options).run()
    except BaseException:
        print(f"the logs of the processes are in {folder}")
        raise
    print(f"all is well after {(time.monotonic() - began) / 60:.1f} minutes")
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)


def _kill(text: str) -> tuple[str, Sequence[str]]:
    name, separator, command = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError("NAME=COMMAND")
    return name, shlex.split(command)


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--apps", type=int, default=8)
    parser.add_argument("--every", type=float, default=40, help="seconds between disturbances, on average")
    parser.add_argument("--progress", type=int, default=60, help="progress deadline of rollouts, in seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kill", type=_kill, action="append", default=[], metavar="NAME=COMMAND",
                        help="what kills a part of the cluster, which comes back by itself; several times")  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
