"""Whether the cluster has what was put there, and what keeps environments apart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.named import AppName, Form, Where, find_pair
from kovra.entrypoints.cli.output import Output, show, table

if TYPE_CHECKING:
    from kovra.client import Client
    from kovra.client.models import DriftOut, IsolationProofOut

_POLL_S: Final = 1.0
_LONGEST_S: Final = 180.0


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(drift)
    app.command()(isolation)


def drift(app: AppName, environment: Where = "production", output: Form = Output.text) -> None:
    """Show what was changed in the cluster by hand. Ends with 1 while something is."""
    client = kept.connect()
    found = client.get_drift(find_pair(client, app, environment)["id"])
    show(found, output, _told(found))
    raise typer.Exit(1 if found["state"] == "drifted" else 0)


def _told(found: DriftOut) -> str:
    rows = [
        {
            "kind": item["kind"],
            "name": item["name"],
            "change": item["change"],
            "paths": ", ".join(path["path"] for path in item["paths"]),
            "reason": item["reason"],
            "since": item["since"],
            "restored": item["restored_at"],
        }
        for item in found["items"]
    ]
    head = f"{found['state']}, policy {found['policy']}, looked at {found['checked_at'] or 'never'}"
    listed = table(rows, "kind", "name", "change", "paths", "reason", "since", "restored")
    return f"{head}\n{listed}" if rows else head


def isolation(
    prove: Annotated[
        str | None, typer.Option(help="The id of an environment in which to try to reach what is closed, and wait.")
    ] = None,
    output: Form = Output.text,
) -> None:
    """Show what keeps environments apart. With --prove: try it; ends with 1 unless it is proven."""
    client = kept.connect()
    if prove is None:
        rows = list(client.iter_isolation(limit=200))
        shown = [
            {
                **row,
                "policies": len(row["network_policies"]),
                "proof": row["last_proof"]["state"] if row["last_proof"] else None,
            }
            for row in rows
        ]
        show(rows, output, table(shown, "environment", "state", "level", "pod_security", "policies", "plan", "proof"))
        return
    proof = _ended(client, client.prove_isolation(prove))
    attempts = table(proof["attempts"], "target", "expected", "seen", "ok")
    simulated = ", simulated" if proof["simulated"] else ""
    show(
        proof, output, f"{proof['state']}{simulated}" + (f": {proof['reason']}" if proof["reason"] else f"\n{attempts}")
    )
    raise typer.Exit(0 if proof["state"] == "proven" else 1)


def _ended(client: Client, proof: IsolationProofOut) -> IsolationProofOut:
    """The proof once it has a verdict; exit code 3 when that takes too long."""
    ends = time.monotonic() + _LONGEST_S
    while proof["finished_at"] is None:
        if time.monotonic() >= ends:
            raise typer.Exit(3)
        time.sleep(_POLL_S)
        proof = client.get_isolation_proof(proof["id"])
    return proof
