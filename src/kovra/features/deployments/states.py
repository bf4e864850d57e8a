"""The state machine as one table; the database's trigger holds the same moves."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """Where a deployment is."""

    queued = "queued"
    waiting = "waiting"
    preparing = "preparing"
    building = "building"
    releasing = "releasing"
    rolling_out = "rolling_out"
    verifying = "verifying"
    done = "done"


class Outcome(StrEnum):
    """How it ended; final."""

    live = "live"
    failed = "failed"
    canceled = "canceled"
    superseded = "superseded"
    skipped = "skipped"


MOVES: Final[dict[Phase, frozenset[Phase]]] = {
    Phase.queued: frozenset({Phase.waiting, Phase.preparing, Phase.done}),
    Phase.waiting: frozenset({Phase.preparing, Phase.done}),
    Phase.preparing: frozenset({Phase.building, Phase.releasing, Phase.rolling_out, Phase.done}),
    Phase.building: frozenset({Phase.releasing, Phase.rolling_out, Phase.done}),
    Phase.releasing: frozenset({Phase.rolling_out, Phase.done}),
    Phase.rolling_out: frozenset({Phase.verifying, Phase.done}),
    Phase.verifying: frozenset({Phase.done}),
    Phase.done: frozenset(),
}
STARTED: Final = frozenset(Phase) - {Phase.queued, Phase.waiting, Phase.done}


class Source(StrEnum):
    """What a deployment makes live."""

    image = "image"
    release = "release"
    rollback = "rollback"
    config = "config"
    restart = "restart"
    scale = "scale"
    suspend = "suspend"
    resume = "resume"
    restore = "restore"
    exposure = "exposure"


ON_WHAT_SERVES: Final = frozenset(Source) - {Source.image, Source.release, Source.rollback}
"""Sources that name no release: they mean the one that serves when their turn comes."""
RANK: Final[dict[Source, int]] = {source: 0 if source in ON_WHAT_SERVES else 2 for source in Source} | {
    Source.config: 1
}
"""What waits in the queue makes way only for what does at least as much: a restart never takes a deploy's place."""


class Policy(StrEnum):
    """What happens to a deployment that meets another one of the same app environment."""

    queue_latest = "queue_latest"
    queue_all = "queue_all"
    override = "override"
    reject = "reject"
