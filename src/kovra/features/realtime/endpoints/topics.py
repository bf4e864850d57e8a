"""Topics: an id becomes the place it names, if the caller may see it."""

from __future__ import annotations

from uuid import UUID

from kovra.features.deployments import queries as deployment_queries
from kovra.features.projects import queries as project_queries
from kovra.features.realtime.protocol import TOPICS, Topic
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Malformed, NotFound
from kovra.foundation.events import Scope
from kovra.foundation.ids import decode, encode


def read_topic(text: str, *, pointer: str) -> tuple[str, UUID]:
    """``(prefix, uuid)`` of a topic's id; raises Malformed."""
    prefix = text.partition("_")[0]
    found = decode(prefix, text) if prefix in TOPICS else None
    if found is None:
        raise Malformed(f"{pointer} is an id of {', '.join(TOPICS)}.", code="topic_invalid")
    return prefix, found


async def find_topic(session: TenantSession, prefix: str, uuid: UUID) -> Topic:
    """The place of a topic; raises NotFound for what is absent, another organization's or outside the narrowing."""
    name = encode(prefix, uuid)
    match prefix:
        case "org":
            if uuid != session.org_id:
                raise NotFound("Not found.")
            return Topic(id=name)
        case "prj":
            return _place(
                name, (await session.one(project_queries.PROJECT, org_id=session.org_id, project_id=uuid)).scope
            )
        case "env":
            found = await session.one(project_queries.ENVIRONMENT, org_id=session.org_id, environment_id=uuid)
            return _place(name, found.scope)
        case "app":
            return _place(name, (await session.one(project_queries.APP, org_id=session.org_id, app_id=uuid)).scope)
        case "aev":
            pair = await session.one(project_queries.APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=uuid)
            return _place(name, pair.scope)
        case _:
            row = await session.one(deployment_queries.DEPLOYMENT, org_id=session.org_id, deployment_id=uuid)
            return _place(name, row.scope, subject=name)


def _place(name: str, scope: Scope, *, subject: str | None = None) -> Topic:
    return Topic(
        id=name,
        project_id=scope.project_id,
        app_id=scope.app_id,
        environment_id=scope.environment_id,
        subject=subject,
    )
