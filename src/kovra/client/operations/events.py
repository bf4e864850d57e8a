"""Operations of events. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from kovra.client import streams
from kovra.client.session import Answered, Session

if TYPE_CHECKING:
    from kovra.client import models


class Events(Session):
    """The ledger."""

    def create_ticket(
        self,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.TicketOut:
        """A one-use ticket of 30 seconds: open `/v1/ws` with the subprotocols `kovra.v1` and `ticket.<ticket>`. Needs
        `events:read`.
        """
        found: models.TicketOut = self.call("POST", "/v1/ws-tickets", key=idempotency_key, answered=answered)
        return found

    def list_events(
        self,
        *,
        after: int | None = None,
        limit: int | None = None,
        type_: str | None = None,
        subject: str | None = None,
        topic: str | None = None,
        answered: Answered | None = None,
    ) -> models.EventsOut:
        """Every fact of the organization, oldest first; with `Accept: text/event-stream`, facts as they happen.

        A stream begins after `Last-Event-ID` or `after`, else now, and misses nothing from there on. Needs
        `events:read`.
        """
        query = {"after": after, "limit": limit, "type": type_, "subject": subject, "topic": topic}
        found: models.EventsOut = self.call("GET", "/v1/events", query=query, answered=answered)
        return found

    def iter_events(
        self,
        *,
        after: int | None = None,
        limit: int | None = None,
        type_: str | None = None,
        subject: str | None = None,
        topic: str | None = None,
    ) -> Iterator[models.EventOut]:
        """Each of `list_events`, page by page."""
        query = {"after": after, "limit": limit, "type": type_, "subject": subject, "topic": topic}
        return self.each("/v1/events", "after", query)

    def follow_events(
        self,
        *,
        after: int | None = None,
        limit: int | None = None,
        type_: str | None = None,
        subject: str | None = None,
        topic: str | None = None,
    ) -> Generator[streams.Told]:
        """The stream of `list_events`, which tells what `models.EventStream` says; opened again where it broke."""
        query = {"after": after, "limit": limit, "type": type_, "subject": subject, "topic": topic}
        return streams.follow(self, "/v1/events", query)
