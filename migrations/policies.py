"""What a migration says about a new table: whose rows it holds, who may do what. Used by revisions; keep old meanings."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

ORGANIZATION = "(select nullif(current_setting('kovra.org_id', true), '')::uuid)"
USER = "(select nullif(current_setting('kovra.user_id', true), '')::uuid)"

ALL = ("select", "insert", "update", "delete")


def tenant_table(table: str, *, column: str = "org_id", grant: Sequence[str] = ALL) -> None:
    """Rows belong to the organization in ``column``: forced RLS, one permissive and one restrictive policy, the owner too."""
    _guard(table, f"{column} = {ORGANIZATION}")
    _grant(table, grant)


def user_table(table: str, *, column: str = "user_id", grant: Sequence[str] = ALL) -> None:
    """Rows belong to the person in ``column``."""
    _guard(table, f"{column} = {USER}")
    _grant(table, grant)


def narrowed(table: str, *, verb: str = "all", **settings: str) -> None:
    """A token's narrowing as restrictive policies: setting name → column; ``*`` lets everything through, unset nothing.

    ``verb`` "select": rows are only read under it, as the ledger's are, which any caller writes.
    """
    terms = [
        f"((select current_setting('kovra.narrow_{name}', true)) = '*' or {column}::text = (select current_setting('kovra.narrow_{name}', true)))"
        for name, column in settings.items()
    ]
    op.execute(
        f"create policy {table}_narrowed on {table} as restrictive for {verb} to kovra_app "
        f"using ({' and '.join(terms)})" + (f" with check ({' and '.join(terms)})" if verb == "all" else "")
    )


def whole(table: str, *names: str) -> None:
    """Rows that more than one place shares are written by tokens that are not narrowed to one of these alone."""
    terms = " and ".join(f"(select current_setting('kovra.narrow_{name}', true)) = '*'" for name in names)
    for verb in ("insert", "update"):
        op.execute(
            f"create policy {table}_{verb}_narrowed on {table} as restrictive for {verb} to kovra_app with check ({terms})"
        )


def readable_by_doors(table: str, columns: Sequence[str]) -> None:
    """Let the doors, and only they, read these columns across organizations."""
    op.execute(f"create policy {table}_lookup on {table} for select to kovra_lookup using (true)")
    op.execute(f"grant select ({', '.join(columns)}) on {table} to kovra_lookup")


def hidden_columns(table: str, readable: Sequence[str]) -> None:
    """Replace the whole-table SELECT of kovra_app by these columns: the others never leave the database."""
    op.execute(f"revoke select on {table} from kovra_app")
    op.execute(f"grant select ({', '.join(readable)}) on {table} to kovra_app")


def function(signature: str, body: str, *, returns: str = "void", options: str = "volatile") -> None:
    """A PL/pgSQL function with the caller's rights and a fixed search path, callable by kovra_app alone."""
    op.execute(
        f"create or replace function {signature} returns {returns} language plpgsql {options} "
        f"set search_path = '' as $kovra$ {body} $kovra$"
    )
    _callable(signature)


def door(signature: str, body: str, *, returns: str) -> None:
    """A SECURITY DEFINER function of kovra_lookup: answers one question before a tenant is known, with the minimum."""
    # Not replaced: a door that is there belongs to kovra_lookup, from whom the owner inherits nothing.
    op.execute(f"drop function if exists {_types(signature)}")
    op.execute(
        f"create function {signature} returns {returns} language plpgsql volatile security definer "
        f"set search_path = '' as $kovra$ {body} $kovra$"
    )
    _callable(signature)
    # A function's new owner must be allowed to create in its schema at that moment, and only then.
    op.execute("grant create on schema public to kovra_lookup")
    op.execute(f"alter function {_types(signature)} owner to kovra_lookup")
    op.execute("revoke create on schema public from kovra_lookup")


def _guard(table: str, mine: str) -> None:
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(f"create policy {table}_tenant on {table} for all to kovra_app using ({mine}) with check ({mine})")
    op.execute(
        f"create policy {table}_wall on {table} as restrictive for all to kovra_app using ({mine}) with check ({mine})"
    )
    op.execute(f"create policy {table}_owner on {table} for all to kovra_owner using ({mine}) with check ({mine})")


def _grant(table: str, verbs: Sequence[str]) -> None:
    op.execute(f"grant {', '.join(verbs)} on {table} to kovra_app")
    op.execute(f"grant select on {table} to kovra_backup")


def _types(signature: str) -> str:
    """``name(p_a uuid, p_b text)`` → ``name(uuid, text)``."""
    name, _, rest = signature.partition("(")
    parameters = [p.strip() for p in rest.rstrip(") ").split(",") if p.strip()]
    return f"{name}({', '.join(p.split(' ', 1)[1] for p in parameters)})"


def _callable(signature: str) -> None:
    op.execute(f"revoke all on function {_types(signature)} from public")
    op.execute(f"grant execute on function {_types(signature)} to kovra_app")
