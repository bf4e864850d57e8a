"""Every operation of the API. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from kovra.client.operations.app_environments import AppEnvironments
from kovra.client.operations.apps import Apps
from kovra.client.operations.auth import Auth
from kovra.client.operations.change_sets import ChangeSets
from kovra.client.operations.clusters import Clusters
from kovra.client.operations.config import Config
from kovra.client.operations.cron_jobs import CronJobs
from kovra.client.operations.deployments import Deployments
from kovra.client.operations.environments import Environments
from kovra.client.operations.events import Events
from kovra.client.operations.isolation import Isolation
from kovra.client.operations.logs import Logs
from kovra.client.operations.members import Members
from kovra.client.operations.metrics import Metrics
from kovra.client.operations.organizations import Organizations
from kovra.client.operations.platform import Platform
from kovra.client.operations.projects import Projects
from kovra.client.operations.registries import Registries
from kovra.client.operations.releases import Releases
from kovra.client.operations.runs import Runs
from kovra.client.operations.secrets import Secrets
from kovra.client.operations.shells import Shells
from kovra.client.operations.tokens import Tokens
from kovra.client.operations.volumes import Volumes


class Client(
    Auth,
    Organizations,
    Members,
    Registries,
    Clusters,
    Tokens,
    Projects,
    Environments,
    Volumes,
    Apps,
    AppEnvironments,
    Metrics,
    Shells,
    Isolation,
    ChangeSets,
    Config,
    Secrets,
    Deployments,
    Releases,
    Runs,
    CronJobs,
    Logs,
    Events,
    Platform,
):
    """A caller of the API: what it offers, by the names of its operations."""
