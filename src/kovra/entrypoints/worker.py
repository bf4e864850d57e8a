"""The worker process: jobs, the cluster's watcher under one leader, sweeps, and a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from kovra.adapters.aws.ecr import Ecr
from kovra.adapters.cluster.customers import Reach, Reaching
from kovra.adapters.cluster.workload import Gateway, NodePool, Toleration
from kovra.adapters.oci.client import Endpoint, Platform, Registries
from kovra.entrypoints import health
from kovra.entrypoints.clusters import connected
from kovra.entrypoints.fleet import fleet_of, watching
from kovra.entrypoints.mirrors import EcrRoles, images
from kovra.entrypoints.wiring import app_address, common, image_rules, refusals
from kovra.features.changesets import handlers as changesets
from kovra.features.changesets.messages import PlanChangeSet
from kovra.features.clusters.handlers import at_cluster, check_cluster
from kovra.features.clusters.messages import CheckCluster
from kovra.features.clusters.queries import (
    OF_APP_ENVIRONMENT,
    OF_DEPLOYMENT,
    OF_ENVIRONMENT,
    OF_PROOF,
    OF_RUN,
    OF_VOLUME,
)
from kovra.features.clusters.service.fleet import Fleet
from kovra.features.clusters.watchers import FleetWatcher
from kovra.features.deployments.compose import Placing
from kovra.features.deployments.handlers import advance, pulling, purging, routing, upkeep, volumes
from kovra.features.deployments.handlers.steps import Steps
from kovra.features.deployments.messages import (
    AdvanceDeployment,
    CancelDeployment,
    CheckHealth,
    ReapplyRelease,
    RemoveVolume,
    RenewPull,
)
from kovra.features.deployments.service.mirroring import Images
from kovra.features.deployments.watchers import ClusterWatcher
from kovra.features.drift.handlers import checking, proving, walls
from kovra.features.drift.messages import CheckDrift, CheckWalls, ProveIsolation
from kovra.features.drift.service.proofs import Canary
from kovra.features.drift.service.reports import Checks
from kovra.features.drift.watchers import DriftWatcher
from kovra.features.logs.service.collecting import Masks
from kovra.features.logs.watchers import LogCollector
from kovra.features.projects.messages import (
    PurgeApp,
    PurgeEnvironment,
    PurgeProject,
    RetireAppEnvironment,
    ReviveAppEnvironment,
    RouteAppEnvironment,
)
from kovra.features.projects.rules import ImageRules
from kovra.features.registries.messages import RenewPulls
from kovra.features.registries.service import Roles
from kovra.features.runs.handlers import advance as running
from kovra.features.runs.handlers.advance import RunSteps
from kovra.features.runs.messages import AdvanceRun, CancelRun, FireCronJob, TidyRun
from kovra.features.secrets.handlers import reseal_values
from kovra.features.secrets.messages import ResealValues
from kovra.foundation.db.database import Database
from kovra.foundation.db.due import Due, Rounds
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.leader import lead
from kovra.foundation.errors import NotFound
from kovra.foundation.jobs.handling import HandlerTable
from kovra.foundation.jobs.loops import Loops, every
from kovra.foundation.jobs.messages import Job, enqueue
from kovra.foundation.jobs.runner import Runner, RunnerOptions
from kovra.foundation.observability import logger
from kovra.foundation.outbound import Outbound, Resolver
from kovra.foundation.registry import Registry
from kovra.settings import Settings
from kovra.settings.shapes import NodePool as NodePoolSetting

WATCHER_LOCK: Final = 4_012_026_12
SWEEP_LOCK: Final = 4_012_026_13
LOGS_LOCK: Final = 4_012_026_14
DRIFT_LOCK: Final = 4_012_026_15
CUSTOMERS_LOCK: Final = 4_012_026_16


def handlers() -> HandlerTable:
    """Every job and its handler: a map of what the worker does. One that acts at a cluster is taken to its row's by
    ``at_cluster``; without that it finds no client at all.
    """
    table = HandlerTable()
    advancing = at_cluster(OF_DEPLOYMENT, advance.advance)
    deployment_given_up = at_cluster(OF_DEPLOYMENT, advance.give_up, limited=False)
    table.add(AdvanceDeployment, advancing, given_up=deployment_given_up)
    table.add(CancelDeployment, advancing, given_up=deployment_given_up)
    table.add(ReapplyRelease, at_cluster(OF_APP_ENVIRONMENT, upkeep.reapply))
    table.add(RemoveVolume, at_cluster(OF_VOLUME, volumes.remove_volume))
    table.add(CheckHealth, at_cluster(OF_APP_ENVIRONMENT, upkeep.check_health))
    table.add(RenewPulls, pulling.renew_all)
    table.add(RenewPull, at_cluster(OF_APP_ENVIRONMENT, pulling.renew))
    table.add(RetireAppEnvironment, at_cluster(OF_APP_ENVIRONMENT, upkeep.retire))
    table.add(ReviveAppEnvironment, upkeep.revive)
    table.add(RouteAppEnvironment, at_cluster(OF_APP_ENVIRONMENT, routing.route))
    table.add(PurgeEnvironment, purging.purge_environment)
    table.add(PurgeApp, purging.purge_app)
    table.add(PurgeProject, purging.purge_project)
    run_advancing = at_cluster(OF_RUN, running.advance)
    run_given_up = at_cluster(OF_RUN, running.give_up, limited=False)
    table.add(AdvanceRun, run_advancing, given_up=run_given_up)
    table.add(CancelRun, run_advancing, given_up=run_given_up)
    table.add(TidyRun, at_cluster(OF_RUN, running.tidy))
    table.add(FireCronJob, running.fire)
    table.add(ResealValues, reseal_values)
    table.add(PlanChangeSet, changesets.plan_change_set, given_up=changesets.give_up)
    table.add(CheckDrift, at_cluster(OF_APP_ENVIRONMENT, checking.check_drift))
    table.add(CheckWalls, at_cluster(OF_ENVIRONMENT, walls.check_walls))
    table.add(ProveIsolation, at_cluster(OF_PROOF, proving.prove_isolation), given_up=proving.give_up)
    table.add(CheckCluster, check_cluster)
    return table


SWEPT: Final[tuple[tuple[str, type[Job]], ...]] = (
    ("deployments", AdvanceDeployment),
    ("watching", CheckHealth),
    ("runs", AdvanceRun),
    ("untidy_runs", TidyRun),
    ("cron_jobs", FireCronJob),
    ("drift", CheckDrift),
    ("purge_environments", PurgeEnvironment),
    ("purge_apps", PurgeApp),
    ("purge_projects", PurgeProject),
)
"""What a door finds due → the job that sees to it: deadlines passed, leases abandoned, windows over, ticks."""

WATCHED: Final[dict[str, tuple[str, type[Job]]]] = {"kovra.io/run": ("run", AdvanceRun)}
"""Label of what is no deployment's → (prefix of the id in it, the job that a change wakes)."""


async def sweep(runner: Runner, database: Database, rounds: Rounds) -> None:
    """Ask the door what is due and enqueue it, unless a job for it is there already.

    A step of a deployment is enqueued all the same: the one that waits may wait for its turn behind the one to be ended.
    """
    for kind, job in SWEPT:
        found = await rounds.turn(kind)
        if found and job is not AdvanceDeployment:
            waiting = await runner.waiting(job, [due.id for due in found])
            found = [due for due in found if due.id not in waiting]
        await _enqueue_all(database, job, found)
    await _enqueue_all(database, RenewPulls, await database.door("stale_pulls", Due, 200))
    await _enqueue_all(database, ResealValues, await database.door("stalled_rotations", Due, 200))


async def _enqueue_all(database: Database, job: type[Job], found: list[Due]) -> None:
    for due in found:
        with contextlib.suppress(NotFound):
            async with database.organization(due.org_id) as session:
                enqueue(session, job(id=due.id))


def registries(settings: Settings, outbound: Outbound) -> Registries:
    """How registries are asked."""
    endpoints = {
        name: Endpoint(url=r.endpoint, plain_http=r.plain_http, allow_private=r.allow_private)
        for name, r in settings.registries.items()
    }
    operating_system, _, architecture = settings.image_platform.partition("/")
    platform = Platform(os=operating_system, architecture=architecture)
    return Registries(outbound, endpoints, platform=platform)


def pool_of(chosen: NodePoolSetting) -> NodePool:
    """A pool as settings name it."""
    bears = tuple(Toleration(**one.model_dump()) for one in chosen.tolerations)
    return NodePool(runtime_class=chosen.runtime_class, node_selector=chosen.node_selector, tolerations=bears)


@asynccontextmanager
async def worker_registry(settings: Settings, *, reach: Reach | None = None) -> AsyncIterator[Registry]:
    """What the worker needs on top: clusters, registries, how to place workloads. ``reach``: how customers' clusters are
    reached; None: by the outbound rules.
    """
    async with common(settings) as registry:
        resolver = Resolver(refusals(settings))
        outbound = registry.add(Outbound, Outbound(resolver))
        registry.add(Registries, registries(settings, outbound))
        ecr = Ecr(endpoint_url=settings.aws_endpoint)
        registry.add(Images, images(settings, ecr))
        registry.add(Roles, Roles(EcrRoles(ecr)))
        registry.add(
            Steps,
            Steps(step_s=settings.step_s, deadline_s=settings.deploy_deadline_s, settling_s=settings.settling_s),
        )
        registry.add(ImageRules, image_rules(settings))
        registry.add(RunSteps, RunSteps(step_s=settings.step_s))
        registry.add(
            Placing,
            Placing(
                apps_domain=settings.apps_domain,
                routing=settings.routing,
                progress_deadline_s=settings.progress_deadline_s,
                min_ready_s=settings.min_ready_s,
                gateway=Gateway(namespace=settings.gateway_namespace, name=settings.gateway_name),
                pools={plan: pool_of(chosen) for plan, chosen in settings.node_pools.items()},
                maintenance_service=settings.maintenance_service,
                cluster_user=settings.cluster_user,
                own_networks=settings.own_networks,
                plans=settings.plans(),
            ),
        )
        registry.add(Checks, Checks(every_s=settings.drift_check_s))
        registry.add(Canary, settings.canary())
        try:
            async with (
                connected(settings.kubeconfig, settings.eks) as client,
                fleet_of(registry, client, reach or Reaching(resolver), concurrency=settings.worker_concurrency),
            ):
                yield registry
        finally:
            ecr.close()
            await outbound.close()


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker at work."""

    registry: Registry
    loops: Loops
    runner: Runner

    def troubles(self) -> list[str]:
        """Why it is not ready; empty when it is."""
        silent = [] if self.runner.is_heard() else ["queue"]
        return [*silent, *self.loops.down()]


@asynccontextmanager
async def working(settings: Settings, *, reach: Reach | None = None) -> AsyncIterator[Worker]:
    """The whole worker, running until the block is left; then steps at work end and no new ones are taken."""
    async with worker_registry(settings, reach=reach) as registry:
        address = app_address(settings)
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        runner = Runner(address.psycopg(), handlers(), registry, _runner_options(settings), name=name)
        database = registry.get(Database)
        fleet = registry.get(Fleet)
        watcher = ClusterWatcher(database, fleet.home, others=WATCHED)
        loops = Loops()
        async with runner.connected():
            loops.start("runner", runner.work, drains=True)
            loops.start("rescue", runner.rescue)
            loops.start("watcher", lambda: lead(address.asyncpg(), WATCHER_LOCK, watcher.run))
            drift = DriftWatcher(database, fleet.home)
            loops.start("drift", lambda: lead(address.asyncpg(), DRIFT_LOCK, drift.run))
            customers = FleetWatcher(database, fleet, watching(settings, registry, WATCHED))
            loops.start("customers", lambda: lead(address.asyncpg(), CUSTOMERS_LOCK, customers.run))
            sweeping = partial(_sweeping, runner, database, settings)
            loops.start("sweep", lambda: lead(address.asyncpg(), SWEEP_LOCK, sweeping))
            if settings.log_store == "postgres":
                loops.start(
                    "collector", lambda: lead(address.asyncpg(), LOGS_LOCK, lambda: _collect(settings, registry))
                )
            logger.info("worker_ready", worker=name)
            try:
                yield Worker(registry, loops, runner)
            finally:
                await loops.stop()


def _runner_options(settings: Settings) -> RunnerOptions:
    return RunnerOptions(
        concurrency=settings.worker_concurrency,
        drain_s=settings.drain_s,
        heartbeat_s=settings.heartbeat_s,
        stalled_after_s=4 * settings.heartbeat_s,
    )


async def _collect(settings: Settings, registry: Registry) -> None:
    """Collect logs over connections of their own: thousands of open logs must not hold up deployments."""
    options = settings.collector()
    database = registry.get(Database)
    masks = Masks(database, registry.get(HolderKeyStore))
    async with connected(settings.kubeconfig, settings.eks, connections=2 * options.pods) as client:
        await LogCollector(database, client, masks, options).run()


async def _sweeping(runner: Runner, database: Database, settings: Settings) -> None:
    rounds = Rounds(database)
    await every(settings.sweep_s, "sweep", lambda: sweep(runner, database, rounds))


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then let the steps at work end. Raises LoopDead: start a new process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with working(settings) as worker, health.served(settings, worker.troubles):
        stopped, failed = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(worker.loops.failed())
        await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if failed.done():
            logger.error("worker_gives_up", reason=failed.result().message)
            raise failed.result()
        failed.cancel()
        logger.info("worker_draining")
