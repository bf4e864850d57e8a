"""Drift and isolation over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from kovra.features.drift import queries
from kovra.features.drift.queries import ISOLATION
from kovra.features.drift.schemas import DriftOut, IsolationOut, IsolationProofOut
from kovra.features.drift.service.proofs import Canary, request_proof
from kovra.features.projects.paths import CurrentAppEnvironment
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.pages import reference
from kovra.foundation.ids import encode
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags, content, version_of
from kovra.foundation.web.fields import Reference, path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session, wired

router = APIRouter(route_class=KovraRoute, tags=["isolation"])


@router.get(
    "/v1/app-environments/{app_environment_id}/drift", operation_id="getDrift", summary="Is it as it was put there"
)
async def get_drift(
    row: CurrentAppEnvironment,
    who: Annotated[Principal, requires(Permission.apps_read)],
    session: Session,
    etags: ETags,
) -> DriftOut:
    """What the cluster has of an app, and of the walls around it, against what Kovra put there."""
    found = await session.one(queries.REPORT, org_id=session.org_id, app_environment_id=row.id)
    shown = DriftOut.of(row.id, "report" if row.drift_policy == "report" else "restore", found)
    etags.answer(content(shown))
    return shown


@router.get("/v1/isolation", operation_id="listIsolation", summary="What keeps environments apart")
async def list_isolation(
    who: Annotated[Principal, requires(Permission.environments_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(ISOLATION)],
    project: Annotated[Reference | None, Query(description="A project's id or slug.")] = None,
    environment: Annotated[Reference | None, Query(description="An environment's id or slug.")] = None,
) -> ListOf[IsolationOut]:
    """What is enforced for each environment, as it was last seen in the cluster, newest environments first."""
    filters = {**reference("project", "prj", project), **reference("environment", "env", environment)}
    page = await pages.read(session, ISOLATION, **filters)
    return pages.answer(session.org_id, page, IsolationOut.of)


@router.post(
    "/v1/environments/{environment_id}/actions/prove-isolation",
    operation_id="proveIsolation",
    summary="Try to reach what is closed",
    status_code=202,
)
@refuses("409 canary_not_configured", "409 nothing_live")
async def prove_isolation(
    environment_id: str,
    who: Annotated[Principal, requires(Permission.environments_update)],
    session: Session,
    canary: Annotated[Canary, wired(Canary)],
    etags: ETags,
    response: Response,
) -> IsolationProofOut:
    """Run a pod in the environment that tries to connect to what it must not reach, and to DNS; one at a time."""
    proof = await request_proof(session, path_id("env", environment_id), canary)
    response.headers["Location"] = f"/v1/isolation-proofs/{encode('prf', proof.id)}"
    etags.answer(version_of(proof.updated_at))
    return IsolationProofOut.of(proof)


@router.get(
    "/v1/isolation-proofs/{isolation_proof_id}", operation_id="getIsolationProof", summary="What a proof has found"
)
async def get_isolation_proof(
    isolation_proof_id: str,
    who: Annotated[Principal, requires(Permission.environments_read)],
    session: Session,
    etags: ETags,
) -> IsolationProofOut:
    """A proof; of an environment the newest twenty are kept."""
    proof = await session.one(queries.PROOF, org_id=session.org_id, proof_id=path_id("prf", isolation_proof_id))
    etags.answer(version_of(proof.updated_at))
    return IsolationProofOut.of(proof)
