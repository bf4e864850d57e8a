"""Operations of shells. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Shells(Session):
    """A command in a running instance."""

    def open_shell(
        self,
        app_environment_id: str,
        body: models.ShellIn,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.ShellTicketOut:
        """A one-use ticket of 30 seconds: open `url` with the subprotocols `kovra.exec.v1` and `ticket.<ticket>`.

        Binary messages are input and output, text messages are JSON about the terminal's size and the end. Who ran
        what for how long stands in the ledger; what was typed and shown does not. Needs `shells:open`.
        """
        found: models.ShellTicketOut = self.call(
            "POST",
            f"/v1/app-environments/{segment(app_environment_id)}/actions/exec",
            body,
            key=idempotency_key,
            answered=answered,
        )
        return found
