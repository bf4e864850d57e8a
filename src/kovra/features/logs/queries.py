"""Every statement about stored logs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Integer,
    Select,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import insert

from kovra.foundation.db.statements import command, statement
from kovra.models.deployments import deployments
from kovra.models.logs import log_chunks, log_positions
from kovra.models.projects import app_environments

SPAN_NS = 600 * 10**9
"""No chunk spans more time: so where to look is bounded on both sides."""


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A chunk."""

    pod: str
    process: str
    release: int | None
    first_ns: int
    first_number: int
    last_ns: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PositionRow:
    """How far a pod's log is stored."""

    pod_key: str
    last_ns: int
    last_number: int
    ended: bool


@dataclass(frozen=True, slots=True)
class Id:
    """Only an id."""

    id: UUID


_c, _p, _x = log_chunks.c, log_positions.c, app_environments.c


def _of_app_environment() -> Select[Any]:
    """Joined with its app environment: a token's narrowing holds there."""
    return (
        select(_c.pod, _c.process, _c.release, _c.first_ns, _c.first_number, _c.last_ns, _c.data)
        .join(app_environments, and_(_x.org_id == _c.org_id, _x.id == _c.app_environment_id))
        .where(
            _c.org_id == bindparam("org_id"),
            _c.app_environment_id == bindparam("app_environment_id"),
            or_(bindparam("process", type_=SqlText).is_(None), _c.process == bindparam("process")),
            _c.last_ns >= bindparam("since", type_=BigInteger),
            _c.first_ns < bindparam("until", type_=BigInteger),
        )
        .limit(bindparam("limit", type_=Integer))
    )


_marks = (
    func.unnest(
        bindparam("keys", type_=ARRAY(SqlText)),
        bindparam("times", type_=ARRAY(BigInteger)),
        bindparam("numbers", type_=ARRAY(Integer)),
    )
    .table_valued("key", "ns", "number", name="marks")
    .render_derived()
)
AFTER = statement(
    _of_app_environment()
    .outerjoin(_marks, _marks.c.key == _c.pod_key)
    .where(
        _c.first_ns > bindparam("base", type_=BigInteger) - SPAN_NS,
        _c.last_ns > bindparam("base"),
        or_(_marks.c.key.is_(None), tuple_(_c.last_ns, _c.last_number) > tuple_(_marks.c.ns, _marks.c.number)),
    )
    .order_by(_c.first_ns, _c.pod),
    ChunkRow,
)
"""Chunks that hold lines beyond a place, by their first lines."""
BEFORE = statement(_of_app_environment().order_by(_c.last_ns.desc(), _c.pod.desc()), ChunkRow)
"""Chunks by their last lines, the newest first."""
POSITIONS = statement(
    select(_p.pod_key, _p.last_ns, _p.last_number, _p.ended)
    .join(app_environments, and_(_x.org_id == _p.org_id, _x.id == _p.app_environment_id))
    .where(_p.org_id == bindparam("org_id"), _p.app_environment_id == bindparam("app_environment_id"))
    .order_by(_p.last_ns.desc())
    .limit(bindparam("limit", type_=Integer)),
    PositionRow,
)
POSITION = statement(
    select(_p.pod_key, _p.last_ns, _p.last_number, _p.ended).where(
        _p.org_id == bindparam("org_id"),
        _p.app_environment_id == bindparam("app_environment_id"),
        _p.pod == bindparam("pod"),
    ),
    PositionRow,
)
_advance = insert(log_positions).values(
    org_id=bindparam("org_id"),
    app_environment_id=bindparam("app_environment_id"),
    pod=bindparam("pod"),
    pod_key=bindparam("pod_key"),
    last_ns=bindparam("last_ns"),
    last_number=bindparam("last_number"),
    ended=bindparam("ended"),
    updated_at=func.now(),
)
ADVANCE = command(
    _advance.on_conflict_do_update(
        index_elements=[_p.org_id, _p.app_environment_id, _p.pod],
        set_={
            "last_ns": _advance.excluded.last_ns,
            "last_number": _advance.excluded.last_number,
            "ended": _advance.excluded.ended,
            "updated_at": func.now(),
        },
        # Whoever does not know how far it is stored changes nothing: two collectors never store a line twice.
        where=and_(
            _p.last_ns == bindparam("was_ns", type_=BigInteger),
            _p.last_number == bindparam("was_number", type_=Integer),
        ),
    )
)
ADD_CHUNK = command(
    log_chunks.insert().values(
        {
            name: bindparam(name)
            for name in (
                "id", "org_id", "app_environment_id", "pod", "pod_key", "process", "release", "first_ns",
                "first_number", "last_ns", "last_number", "lines", "size_bytes", "data",
            )
        }
    )
)  # fmt: skip
GROW_CHUNK = command(
    log_chunks.update()
    .where(
        _c.org_id == bindparam("org"),
        _c.id == bindparam("chunk_id"),
        _c.last_ns == bindparam("was_ns"),
        _c.last_number == bindparam("was_number"),
    )
    .values(
        last_ns=bindparam("last_ns"), last_number=bindparam("last_number"), lines=bindparam("lines"),
        size_bytes=bindparam("size_bytes"), data=bindparam("data"),
    )
)  # fmt: skip
FORGET_OLD = command(
    delete(log_chunks).where(
        _c.org_id == bindparam("org"),
        _c.app_environment_id.in_(select(_x.id).where(_x.org_id == bindparam("org"))),
        _c.last_ns < bindparam("before", type_=BigInteger),
    )
)
FORGET_OLD_POSITIONS = command(
    delete(log_positions).where(
        _p.org_id == bindparam("org"),
        _p.last_ns < bindparam("before", type_=BigInteger),
        _p.updated_at < bindparam("unseen_since", type_=DateTime(timezone=True)),
    )
)
_sizes = (
    select(
        _c.id,
        func.sum(_c.size_bytes).over(order_by=(_c.last_ns.desc(), _c.id)).label("so_far"),
    )
    .where(_c.org_id == bindparam("org"), _c.app_environment_id == bindparam("aev"))
    .subquery()
)
FORGET_BEYOND = command(
    delete(log_chunks).where(
        _c.org_id == bindparam("org"),
        _c.id.in_(select(_sizes.c.id).where(_sizes.c.so_far > bindparam("most_bytes", type_=BigInteger))),
    )
)
"""The oldest chunks of an app environment that holds more than so many bytes."""
DEPLOYMENT_OF_RELEASE = statement(
    select(deployments.c.id)
    .where(deployments.c.org_id == bindparam("org_id"), deployments.c.release_id == bindparam("release_id"))
    .order_by(deployments.c.number)
    .limit(1),
    Id,
)
