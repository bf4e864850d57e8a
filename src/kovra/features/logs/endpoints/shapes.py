"""Lines and places as they are shown, and how an app environment in a path becomes what the streamer is asked for."""

from __future__ import annotations

from uuid import UUID

from kovra.adapters.cluster.lines import Line
from kovra.adapters.cluster.manifests.labels import run_of
from kovra.features.deployments.compose import placement_of
from kovra.features.logs.protocol import Place, stamp
from kovra.features.logs.schemas import LineOut
from kovra.features.logs.service.live import Target
from kovra.features.logs.service.store import Edge
from kovra.features.projects import queries as project_queries
from kovra.foundation.db.pages import Cursors
from kovra.foundation.errors import Malformed
from kovra.foundation.web.sessions import SessionFactory


async def target_of(sessions: SessionFactory, app_environment_id: UUID, process: str | None = None) -> Target:
    """The app environment, proven to be the caller's to look into at this moment; raises what the guard raises."""
    async with sessions() as session:
        row = await session.one(
            project_queries.APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=app_environment_id
        )
        return Target(
            org_id=session.org_id,
            app_environment_id=row.id,
            namespace=placement_of(session.org_id, row).namespace,
            process=process,
        )


def line_out(line: Line) -> LineOut:
    """A line."""
    run = run_of(line.process)
    process = line.process if run is None else "run"
    return LineOut(
        time=stamp(line.time_ns), pod=line.pod, process=process, run=run, release=line.release, line=line.text
    )


class Marks:
    """Cursors of one log under one set of filters: forward ones are places, backward ones are edges."""

    def __init__(self, cursors: Cursors, target: Target, *, contains: str | None, until: object) -> None:
        self._cursors, self._org_id = cursors, target.org_id
        self._bound = {"log": target.app_environment_id, "process": target.process, "q": contains, "until": until}
        self._sign = cursors.signer(target.org_id, self._bound)

    def forward(self, place: Place) -> str:
        """Go on from here."""
        return self._sign(f"f{place.text()}")

    def backward(self, edge: Edge) -> str:
        """Go back from here."""
        return self._sign(f"b{edge[0]:x}.{edge[2]:x}.{edge[1]}")

    def read(self, cursor: str) -> Place | Edge:
        """Where it leads; raises Malformed for another log's or other filters'."""
        text = self._cursors.check(self._org_id, self._bound, cursor)
        if text.startswith("f"):
            return Place.read(text[1:])
        time, _, rest = text[1:].partition(".")
        number, _, pod = rest.partition(".")
        try:
            return int(time, 16), pod, int(number, 16)
        except ValueError:
            raise Malformed("This cursor is not of this log.", code="cursor_invalid") from None
