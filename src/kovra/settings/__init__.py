"""Settings: one frozen tree, read once from the environment (``KOVRA_…``) by the entrypoints, then passed down.

There is no default for a secret. Production refuses what is only fit for development. What an option belongs to is
imported when the option is asked for: operators' commands start without the whole program.
"""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from kovra.adapters.cluster.address import EksAddress
from kovra.foundation.keyring.documents import parse, read_file
from kovra.foundation.observability import configure
from kovra.settings.images import ImageSettings
from kovra.settings.shapes import QUOTAS, EnvironmentQuota, InstanceSize, NodePool
from kovra.settings.values import SettingInvalid, given, needed
from kovra.settings.values import bytes_of as _bytes

__all__ = ["LogSettings", "SettingInvalid", "Settings", "given", "needed"]
_ORIGIN: Final = re.compile(r"https?://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?")

if TYPE_CHECKING:
    from kovra.features.drift.service.proofs import Canary
    from kovra.features.identity.credentials.access_tokens import AccessTokenOptions
    from kovra.features.identity.credentials.passwords import PasswordOptions
    from kovra.features.logs.service.collecting import CollectorOptions
    from kovra.features.projects.plans import Plans
    from kovra.features.realtime.hub import HubOptions
    from kovra.foundation.db.connections import PoolOptions
    from kovra.foundation.outbound.tls import TlsFiles
    from kovra.foundation.web.logins import LoginThrottleOptions
    from kovra.foundation.web.middleware import EdgeOptions


class LogSettings(BaseSettings):
    """What every process is told."""

    model_config = SettingsConfigDict(
        env_prefix="KOVRA_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    service: str | None = None
    """The process's name in its log lines; None: the verb's."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is logged."""

    def configure(self, verb: str) -> str:
        """Set the logs of this process up; returns its name in them."""
        service = self.service or verb
        configure(service, level=self.log_level)
        return service


class Settings(LogSettings, ImageSettings):
    """Everything a process is told from outside."""

    environment: Literal["development", "production"] = "production"
    """``development`` allows plain connections on loopback and serves the docs without a credential."""

    database_url: SecretStr | None = None
    """``postgresql://kovra_app:…@host/db``; in production with ``sslmode=verify-full`` and ``sslrootcert``."""
    migrator_url: SecretStr | None = None
    """The same database as kovra_migrator; for `kovra migrate` alone."""
    admin_url: SecretStr | None = None
    """The server as its superuser, for `kovra bootstrap` alone; `kovra dev` bootstraps the server it is given."""
    migrator_password: SecretStr | None = None
    """What `kovra bootstrap` gives kovra_migrator."""
    app_password: SecretStr | None = None
    """What it gives kovra_app."""
    backup_password: SecretStr | None = None
    """What it gives kovra_backup."""
    pool_max: Annotated[int, Field(ge=1, le=200)] = 16
    """Connections per process."""
    pool_wait_s: Annotated[float, Field(gt=0, le=30)] = 5.0
    """How long a request waits for a free connection, in seconds, before it answers 503."""

    keyring_file: Path | None = None
    """Master keys, as `kovra keys generate` writes them; the api's copy holds no private core half."""
    keyring: SecretStr | None = None
    """The same document in the environment."""
    kms_key_id: str | None = None
    """ARN or alias of the AWS KMS key that wraps the keyring document's keys; None: they are in the clear."""
    kms_region: str = "us-east-1"
    """The AWS region of the KMS key."""
    kms_environment: str = "production"
    """Part of the encryption context: the keys of one installation do not open in another."""
    kms_endpoint: str | None = None
    """Another address of KMS than AWS's public one, such as a VPC endpoint."""
    backup_retention_days: Annotated[int, Field(ge=1, le=3650)] = 35
    """How long the database's backups are kept; a key version is not destroyed while one of them may need it."""
    secret_openings_per_minute: Annotated[int, Field(ge=1)] = 3000
    """Openings of one organization's secrets, in one process, beyond which `secret_openings_high` is logged."""
    pepper: SecretStr | None = None
    """base64 of at least 32 bytes, mixed into every password."""
    cursor_key: SecretStr | None = None
    """base64 of 32 bytes that sign list cursors; the same on every replica."""
    token_keys: SecretStr | None = None
    """JSON ``{"signing": kid, "keys": {kid: base64 of 32 private bytes}}`` (Ed25519)."""
    bcrypt_cost: Annotated[int, Field(ge=4, le=16)] = 12
    """Two to this power rounds per password; at least 12 in production. Raising it hashes anew at each next login."""
    issuer: str = "https://kovra.dev"
    """Who signs access tokens (``iss``); the same on every replica."""

    live_per_organization: Annotated[int, Field(ge=1)] = 1000
    """Live streams (sockets and event streams) of one organization, per process."""
    live_per_actor: Annotated[int, Field(ge=1)] = 200
    """Live streams of one person or api token, per process."""
    live_drain_s: Annotated[float, Field(ge=0, le=20)] = 5.0
    """Over how long a process that is told to end spreads the ends of its streams."""

    host: str = "127.0.0.1"
    """The address the process listens on; 0.0.0.0 in a container."""
    port: int = 8080
    """The api's port; /healthz and /readyz are on it too."""
    metrics_port: int = 9090
    """/metrics of the api, never to be reached from outside; 0: not served."""
    public_url: str = "http://127.0.0.1:8080"
    """How people reach the api, https in production; never taken from a request."""
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Addresses or networks whose X-Forwarded-For and -Proto are believed, comma-separated; never ``*``.

    With ``*`` the left-most address of the header would count, which is the caller's own invention."""
    hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names the api answers to besides that of its public URL, comma-separated; in development it answers to any."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Exact origins of the dashboard, comma-separated."""
    max_body_bytes: int = 1024 * 1024
    """Larger bodies of requests are refused with 413."""
    unlimited: bool = False
    """Switches rate limits off, for benchmarks; refused in production."""
    strict_logins: bool | None = None
    """Whether logins and sign-ups are throttled as in production; None: in production alone."""
    security_contact: str = "security@kovra.dev"
    """Whom /.well-known/security.txt names."""

    kubeconfig: Path | None = None
    """The cluster that environments live in; None: the service account of the pod."""
    eks: EksAddress | None = None
    """Instead: an EKS cluster, as JSON ``{"cluster", "endpoint", "certificate_authority", "region"}``."""
    apps_domain: str = "apps.localhost"
    """Apps answer under ``<app>-<env>-<id>.<apps domain>``."""
    apps_scheme: Literal["http", "https"] = "https"
    """The scheme in app addresses."""
    apps_port: int | None = None
    """A port in app addresses, where the standard one is not used."""
    routing: Literal["gateway", "ingress"] = "gateway"
    """What routes to apps: Gateway API's HTTPRoute, or Ingress."""
    own_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks of this installation (VPC, pods, services), comma-separated, which no tenant's address may lead to.

    Private addresses are refused anyway; this is for those that look public."""
    simulated: bool = False
    """Whether workloads are simulated; said in every answer."""
    settling_s: float = 10.0
    """How long a rollout must stay good before it counts as live."""
    quotas: dict[Literal["free", "team", "business", "enterprise"], EnvironmentQuota] = Field(
        default_factory=lambda: dict(QUOTAS)  # type: ignore[arg-type]  # the keys are the plans
    )
    """Plan → what one environment may use, a rollout's surge included; plans left out have the default quota."""
    sizes: dict[Literal["nano", "micro", "small", "medium", "large"], InstanceSize] = {}
    """Size → what one instance may use; sizes left out are as the API's description says. For api and worker alike."""
    node_pools: dict[Literal["free", "team", "business", "enterprise"], NodePool] = {}
    """Plan → on which nodes its pods run, and behind which sandbox (RuntimeClass); plans left out share all nodes."""
    cluster_user: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """The Kubernetes user name as which the worker comes, such as ``system:serviceaccount:kovra:kovra-worker``: it is then
    let into each environment's namespace by a role binding. Unset: its account may do everything already."""
    gateway_namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] = "kovra-gateway"
    """Where the shared gateway runs, which alone may reach tenants' pods from outside their environment."""
    gateway_name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")] = "apps"
    """The Gateway object that routes attach to."""
    min_ready_s: Annotated[int, Field(ge=0, le=60)] = 5
    """How long an instance must be ready before it counts, and the next old one may go."""
    progress_deadline_s: Annotated[int, Field(ge=10, le=3600)] = 300
    """How long a rollout may make no progress before the cluster calls it failed."""
    deploy_deadline_s: Annotated[float, Field(gt=0)] = 900.0
    """How long a deployment may take over all, once it is its turn."""
    step_s: Annotated[float, Field(gt=0, le=30)] = 30.0
    """How long one step of a deployment may take; another worker takes a step over a little later."""
    worker_concurrency: Annotated[int, Field(ge=1, le=200)] = 16
    """Jobs that one worker runs at the same time."""
    worker_port: int = 9091
    """/healthz, /readyz and /metrics of the worker, on loopback or inside the cluster; 0: not served."""
    heartbeat_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How often a worker says that it lives; one that was silent four times as long is taken for dead."""
    drain_s: Annotated[float, Field(ge=0, le=600)] = 30.0
    """How long a worker that is told to end waits for the steps at work."""
    sweep_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How often the worker looks for deadlines, abandoned leases and windows that are over."""

    maintenance_service: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")] | None = None
    """The Service in the gateway's namespace, on port 80, for apps in maintenance. api and worker need it."""
    drift_check_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """How often what runs, and the walls around it, are compared with what was put into the cluster, in seconds."""
    canary_image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """The image of the pods that prove isolation; api and worker need it. None: nobody can ask for a proof."""
    canary_command: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)] = ("/testapp", "connect")
    """What it runs, as a JSON list, followed by HOST:PORT words: it tries each for some seconds, and writes a line for each,
    in order, that begins with ``open`` or ``closed``."""

    log_store: Literal["postgres", "victorialogs", "none"] = "postgres"
    """Where past lines are: ``postgres`` (the worker collects them), ``victorialogs`` (the cluster's agent does), or
    nowhere but in the cluster."""
    victorialogs_url: str | None = None
    """``http(s)://host:port`` of VictoriaLogs."""
    victorialogs_account: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """The tenant in VictoriaLogs that holds this installation's lines: its AccountID."""
    victorialogs_project: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Its ProjectID."""
    log_days: Annotated[float, Field(gt=0, le=3650)] = 7.0
    """How long stored lines are kept."""
    log_mib: Annotated[int, Field(ge=1, le=1024 * 1024)] = 64
    """How much is kept per app environment, compressed; the oldest goes first."""
    log_pods: Annotated[int, Field(ge=1, le=20_000)] = 2000
    """Of so many pods at once the logs are collected."""
    metrics_url: str | None = None
    """``http(s)://host:port[/path]`` of a store with Prometheus' HTTP API; None: the cluster's own metrics, now only."""
    streamer_url: str | None = None
    """``https://host:port`` of the streamer, for live logs and shells; None: only stored logs can be read."""
    streamer_certificate: Path | None = None
    """The certificate (``clientAuth``) this process shows the streamer."""
    streamer_key: Path | None = None
    """The key of that certificate."""
    streamer_authority: Path | None = None
    """The authority that issued the streamer's certificate."""
    grant_keys: SecretStr | None = None
    """JSON ``{"signing": kid, "keys": {kid: base64 of 32 private bytes}}`` (Ed25519): signs grants for the streamer."""

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, values: dict[str, object]) -> dict[str, object]:
        for name in ("cors_origins", "hosts", "trusted_proxies", "own_networks"):
            given = values.get(name)
            if isinstance(given, str):
                values[name] = tuple(part.strip() for part in given.split(",") if part.strip())
        return values

    @model_validator(mode="after")
    def _exact_origins(self) -> Settings:
        if any(_ORIGIN.fullmatch(origin) is None for origin in self.cors_origins):
            raise ValueError("KOVRA_CORS_ORIGINS holds exact origins: scheme://host[:port], in lower case")
        return self

    @model_validator(mode="after")
    def _fit_for_production(self) -> Settings:
        if self.log_store == "victorialogs" and self.victorialogs_url is None:
            raise ValueError("KOVRA_VICTORIALOGS_URL goes with KOVRA_LOG_STORE=victorialogs")
        if self.streamer_url is not None and not self.streamer_url.startswith("https://"):
            raise ValueError("KOVRA_STREAMER_URL must be https")
        if self.environment == "production":
            if self.simulated or self.unlimited or self.strict_logins is False:
                raise ValueError("KOVRA_SIMULATED, KOVRA_UNLIMITED and loose logins are for development")
            if self.bcrypt_cost < 12:
                raise ValueError("KOVRA_BCRYPT_COST must be at least 12 in production")
            if any(not o.startswith("https://") for o in self.cors_origins):
                raise ValueError("KOVRA_CORS_ORIGINS must be https in production")
        return self

    @property
    def production(self) -> bool:
        """Whether this is production."""
        return self.environment == "production"

    def pool(self) -> PoolOptions:
        """Options of the connection pool."""
        from kovra.foundation.db.connections import PoolOptions

        return PoolOptions(min_size=min(2, self.pool_max), max_size=self.pool_max, acquire_timeout_s=self.pool_wait_s)

    def keyring_document(self) -> dict[str, Any]:
        """The keyring document, from its file or the environment; its keys may be wrapped."""
        if self.keyring_file is not None:
            return read_file(self.keyring_file)
        return parse(needed(self.keyring, "KOVRA_KEYRING_FILE"))

    def passwords(self) -> PasswordOptions:
        """How passwords are hashed."""
        from kovra.features.identity.credentials.passwords import PasswordOptions

        pepper = _bytes(self.pepper, "KOVRA_PEPPER")
        return PasswordOptions(pepper=pepper, cost=self.bcrypt_cost)

    def access_tokens(self) -> AccessTokenOptions:
        """How access tokens are signed."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        from kovra.features.identity.credentials.access_tokens import AccessTokenOptions

        try:
            document = json.loads(needed(self.token_keys, "KOVRA_TOKEN_KEYS"))
            keys = {
                kid: Ed25519PrivateKey.from_private_bytes(base64.b64decode(raw))
                for kid, raw in document["keys"].items()
            }
            signing = str(document["signing"])
            if signing not in keys:
                raise KeyError(signing)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SettingInvalid(
                'KOVRA_TOKEN_KEYS must be {"signing": kid, "keys": {kid: base64 of 32 bytes}}, with the kid among them.'
            ) from None
        return AccessTokenOptions(signing_key_id=signing, private_keys=keys, issuer=self.issuer)

    def cursor_bytes(self) -> bytes:
        """The key that signs cursors."""
        return _bytes(self.cursor_key, "KOVRA_CURSOR_KEY")

    def hub(self) -> HubOptions:
        """Limits of live streams."""
        from kovra.features.realtime.hub import HubOptions

        return HubOptions(per_organization=self.live_per_organization, per_actor=self.live_per_actor)

    def edge(self) -> EdgeOptions:
        """What the edge allows."""
        from kovra.foundation.web.middleware import EdgeOptions
        from kovra.foundation.web.ratelimit import RateLimitOptions

        public = urlsplit(self.public_url).hostname or ""
        return EdgeOptions(
            max_body_bytes=self.max_body_bytes,
            hosts=frozenset({public, *self.hosts}) if self.production else frozenset(),
            origins=self.cors_origins,
            https_only=self.production,
            simulated=self.simulated,
            limits=RateLimitOptions.unlimited() if self.unlimited else RateLimitOptions(),
        )

    def plans(self) -> Plans:
        """What plans include, and how large sizes are."""
        from kovra.settings.plans import plans_of

        return plans_of(dict(self.quotas), dict(self.sizes), self.min_ready_s)

    def canary(self) -> Canary:
        """What proves isolation."""
        from kovra.features.drift.service.proofs import Canary

        return Canary(image=self.canary_image, command=self.canary_command, simulated=self.simulated)

    def collector(self) -> CollectorOptions:
        """How logs are collected and kept."""
        from kovra.features.logs.service.collecting import CollectorOptions, Keeping

        keeping = Keeping(age=timedelta(days=self.log_days), size_bytes=self.log_mib * 1024 * 1024)
        return CollectorOptions(keeping=keeping, pods=self.log_pods)

    def streamer_files(self) -> TlsFiles:
        """How this process proves to the streamer who it is."""
        from kovra.foundation.outbound.tls import TlsFiles

        certificate, key, authority = self.streamer_certificate, self.streamer_key, self.streamer_authority
        if certificate is None or key is None or authority is None:
            raise SettingInvalid("KOVRA_STREAMER_CERTIFICATE, _KEY and _AUTHORITY go with KOVRA_STREAMER_URL.")
        return TlsFiles(certificate=certificate, key=key, authority=authority)

    def login_throttle(self) -> LoginThrottleOptions:
        """How logins are throttled; loosely in development, where one address is everybody."""
        from kovra.foundation.web.logins import LoginThrottleOptions

        strict = self.production if self.strict_logins is None else self.strict_logins
        if strict:
            return LoginThrottleOptions()
        many = 10_000
        return LoginThrottleOptions(
            per_account=100, per_stranger=100, per_network=many, per_site=many, sign_ups=many, site_sign_ups=many
        )
