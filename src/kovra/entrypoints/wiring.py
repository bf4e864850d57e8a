"""The composition root: settings become pools, keyring and adapters, put in a registry by type."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

from kovra.entrypoints import keyfiles
from kovra.entrypoints.telemetry import looking
from kovra.features.deployments.service.start import DeployOptions
from kovra.features.drift.service.proofs import Canary
from kovra.features.identity.credentials.access_tokens import AccessTokens
from kovra.features.identity.credentials.passwords import Passwords
from kovra.features.identity.service.tokens import note_use
from kovra.features.organizations.roles import ROLES
from kovra.features.projects.plans import Plans
from kovra.features.projects.rules import ImageRules
from kovra.foundation.db import dsn, master_keys
from kovra.foundation.db.database import Database
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.notices import Notices
from kovra.foundation.db.openings import Openings
from kovra.foundation.db.pages import Cursors
from kovra.foundation.db.selfcheck import check_role_and_policies, check_schema_at_head
from kovra.foundation.keyring import Keyring
from kovra.foundation.observability import logger
from kovra.foundation.outbound import Refusals
from kovra.foundation.registry import Registry
from kovra.foundation.web.addresses import AppAddresses, PublicAddress
from kovra.foundation.web.idempotency import Idempotency
from kovra.foundation.web.logins import LoginThrottle
from kovra.foundation.web.pages import KnownPages
from kovra.foundation.web.token_use import TokenUse
from kovra.settings import Settings, needed


def app_address(settings: Settings) -> dsn.Address:
    """Where the database is, for this process's role."""
    return dsn.parse(needed(settings.database_url, "KOVRA_DATABASE_URL"), production=settings.production)


def refusals(settings: Settings) -> Refusals:
    """What tenants' addresses may never lead to: this installation's own names and networks."""
    addresses = (settings.public_url, settings.kms_endpoint or "")
    names = {urlsplit(address).hostname or "" for address in addresses} | {settings.apps_domain}
    if settings.database_url is not None:
        names.add(app_address(settings).host)
    return Refusals(names=frozenset(n.lower() for n in names if n), networks=settings.own_networks)


def image_rules(settings: Settings) -> ImageRules:
    """Which images tenants may name."""
    return ImageRules(named=settings.named_registries(), refusals=refusals(settings), mirror=settings.mirror_place())


@asynccontextmanager
async def common(settings: Settings) -> AsyncIterator[Registry]:
    """What api and worker share: database, keyring, notices. Refuses to start on a database that does not protect."""
    registry = Registry()
    registry.add(Settings, settings)
    address = app_address(settings).asyncpg()
    database = registry.add(Database, await Database.connect(address, roles=ROLES, options=settings.pool()))
    try:
        async with database.connection() as connection:
            await check_schema_at_head(connection)
            await check_role_and_policies(connection)
        masters = await asyncio.to_thread(keyfiles.master_keys, settings)
        openings = Openings(per_minute=settings.secret_openings_per_minute)
        keyring = registry.add(Keyring, Keyring(masters, observer=openings))
        await master_keys.compare(database, keyring.check_values())
        await _say_what_is_missing(database, keyring)
        registry.add(HolderKeyStore, HolderKeyStore(keyring))
        notices = registry.add(Notices, Notices(address))
        async with notices.running():
            yield registry
    finally:
        await database.close()


async def _say_what_is_missing(database: Database, keyring: Keyring) -> None:
    """Start without a master version that rows need, loudly: its values answer 503, all others work."""
    have = keyring.check_values().keys()
    for use in await master_keys.look(database):
        if use.n and (use.master_set, use.version) not in have:
            logger.error("master_key_missing", set=use.master_set, key_version=use.version, wrapped_keys=use.n)


@asynccontextmanager
async def api_registry(settings: Settings) -> AsyncIterator[Registry]:
    """What the api needs on top: passwords, access tokens, cursors, throttles."""
    async with common(settings) as registry:
        passwords = registry.add(Passwords, Passwords(settings.passwords()))
        registry.add(Cursors, Cursors(settings.cursor_bytes()))
        registry.add(Idempotency, Idempotency(settings.cursor_bytes(), registry.get(HolderKeyStore)))
        registry.add(LoginThrottle, LoginThrottle(registry.get(Database), settings.login_throttle()))
        registry.add(AccessTokens, AccessTokens(settings.access_tokens()))
        images = registry.add(ImageRules, image_rules(settings))
        registry.add(KnownPages, KnownPages(public_url=settings.public_url, others=settings.cors_origins))
        use = registry.add(TokenUse, TokenUse(partial(note_use, registry.get(Database))))
        registry.add(Canary, settings.canary())
        plans = registry.add(Plans, settings.plans())
        registry.add(DeployOptions, DeployOptions(images=images, plans=plans))
        registry.add(
            AppAddresses,
            AppAddresses(
                domain=settings.apps_domain,
                scheme=settings.apps_scheme,
                port=settings.apps_port,
                shares=settings.routing == "gateway",
                has_page=settings.maintenance_service is not None,
            ),
        )
        registry.add(PublicAddress, PublicAddress(url=settings.public_url))
        try:
            async with use.running(), looking(settings, registry):
                yield registry
        finally:
            passwords.close()
