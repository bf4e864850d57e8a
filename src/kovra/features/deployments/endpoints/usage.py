"""What an environment may use, and uses."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter

from kovra.features.deployments.schemas import AppUsageOut, EnvironmentUsageOut, NeedOut, QuotaOut, SizeOut
from kovra.features.deployments.service.room import look
from kovra.features.projects.paths import CurrentEnvironment
from kovra.features.projects.plans import Plans
from kovra.foundation.access import Permission, Principal
from kovra.foundation.web.guard import requires
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session, wired

router = APIRouter(route_class=KovraRoute, tags=["environments"])


@router.get("/v1/environments/{environment_id}/usage", operation_id="getEnvironmentUsage")
async def get_environment_usage(
    environment: CurrentEnvironment,
    who: Annotated[Principal, requires(Permission.environments_read)],
    session: Session,
    plans: Annotated[Plans, wired(Plans)],
) -> EnvironmentUsageOut:
    """What the plan lets an environment use, and what everything in it needs at most."""
    room = await look(session, plans, environment.id)
    quota = plans.quota_of(room.plan)
    names = {t.id: t.name for t in room.takings if t.kind == "live"}
    return EnvironmentUsageOut(
        environment_id=environment.id,
        plan=room.plan,
        quota=QuotaOut(
            cpu_millis=quota.cpu_millis,
            memory_mib=quota.memory_mib,
            pods=quota.pods,
            instance_cpu_millis=quota.container_cpu_millis,
            instance_memory_mib=quota.container_memory_mib,
            runs=quota.runs,
        ),
        used=NeedOut(**asdict(room.without(None, plans))),
        apps=[
            AppUsageOut(app_environment_id=known, app=names[known], **asdict(need))
            for known, need in sorted(room.by_app_environment.items(), key=lambda pair: names[pair[0]])
        ],
        runs=NeedOut(**asdict(room.besides_but(None, plans))),
        sizes={name: SizeOut(**asdict(size)) for name, size in plans.sizes.items()},
    )
