"""Lints of the catalogue, after those of Supabase's splinter, as queries of our own: each must find nothing."""

from __future__ import annotations

import asyncpg
import pytest

LINTS = {
    "a foreign key without an index": """
        select c.conrelid::regclass || '.' || c.conname from pg_constraint c
        where c.contype = 'f' and c.connamespace = 'public'::regnamespace and not exists (
            select 1 from pg_index i where i.indrelid = c.conrelid
            and (i.indkey::smallint[])[0 : cardinality(c.conkey) - 1] @> c.conkey
            and (i.indkey::smallint[])[0 : cardinality(c.conkey) - 1] <@ c.conkey)""",
    "a variable read once per row instead of once per statement": r"""
        select tablename || '.' || policyname from pg_policies where schemaname = 'public'
        and regexp_replace(coalesce(qual, '') || coalesce(with_check, ''), 'SELECT [^)]*current_setting', '', 'g')
            like '%current_setting(%'""",
    "row-level security without a policy": """
        select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and c.relrowsecurity
        and not exists (select 1 from pg_policy p where p.polrelid = c.oid)""",
    "a policy on a table whose row-level security is off": """
        select c.relname from pg_class c join pg_policy p on p.polrelid = c.oid
        where not (c.relrowsecurity and c.relforcerowsecurity)""",
    "more than one permissive policy for a command of the program": """
        select tablename || ' ' || v from pg_policies
        cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) v
        where schemaname = 'public' and permissive = 'PERMISSIVE' and 'kovra_app' = any (roles) and cmd in ('ALL', v)
        group by tablename, v having count(*) > 1""",
    "a policy that is always true, other than the doors' and the owner's walk": """
        select tablename || '.' || policyname from pg_policies where schemaname = 'public'
        and ('true' in (qual, with_check)) and not (cmd = 'SELECT' and (roles = '{kovra_lookup}'
            or (roles = '{kovra_owner}' and tablename in ('organizations', 'users'))))""",
    "a policy for everybody": """
        select tablename || '.' || policyname from pg_policies where schemaname = 'public' and 'public' = any (roles)""",
    "a view with its owner's rights, or one that is materialised": """
        select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and (c.relkind = 'm'
            or (c.relkind = 'v' and not coalesce(c.reloptions @> '{security_invoker=true}', false)))""",
    "a partition that can be reached beside its parent's policies": """
        select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and c.relispartition
        and has_any_column_privilege('kovra_app', c.oid, 'select, insert, update')""",
    "a function with a mutable search path": """
        select p.oid::regprocedure::text from pg_proc p where p.pronamespace = 'public'::regnamespace
        and p.proname not like 'strict\\_%'
        and not coalesce(p.proconfig && array['search_path=""', 'search_path=public, pg_temp'], false)""",
    "a function that everybody may call": """
        select p.oid::regprocedure::text from pg_proc p where p.pronamespace = 'public'::regnamespace
        and has_function_privilege('public', p.oid, 'execute') and p.proname not like 'strict\\_%'""",
    "a function with its owner's rights that others than the program may call": """
        select p.oid::regprocedure || ' ' || a.grantee::regrole from pg_proc p cross join aclexplode(p.proacl) a
        where p.pronamespace = 'public'::regnamespace and p.prosecdef
        and a.grantee not in ('kovra_app'::regrole, 'kovra_lookup'::regrole)""",
    "a function with its owner's rights whose owner is no door's": """
        select p.oid::regprocedure::text from pg_proc p where p.pronamespace = 'public'::regnamespace
        and p.prosecdef and p.proowner <> 'kovra_lookup'::regrole""",
    "something that kovra_owner does not own, other than the doors": """
        select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace
            and c.relowner <> 'kovra_owner'::regrole
        union all select p.oid::regprocedure::text from pg_proc p where p.pronamespace = 'public'::regnamespace
            and p.proowner not in ('kovra_owner'::regrole, 'kovra_lookup'::regrole) and p.proname not like 'strict\\_%'""",
    "a whole table that the doors may read": """
        select table_name from information_schema.role_table_grants
        where grantee = 'kovra_lookup' and table_schema = 'public'""",
    "something a backup would leave out": """
        select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and case c.relkind
            when 'S' then not has_sequence_privilege('kovra_backup', c.oid, 'select')
            when 'r' then not has_table_privilege('kovra_backup', c.oid, 'select') else false end""",
    "something a backup could change": """
        select table_name || ' ' || privilege_type from information_schema.role_table_grants
        where grantee = 'kovra_backup' and privilege_type <> 'SELECT'""",
    "an index that another one repeats": """
        select a.indexrelid::regclass || ' = ' || b.indexrelid::regclass from pg_index a
        join pg_index b on b.indrelid = a.indrelid and b.indexrelid > a.indexrelid
        and b.indkey = a.indkey and b.indclass = a.indclass and b.indoption = a.indoption
        and b.indexprs is not distinct from a.indexprs and b.indpred is not distinct from a.indpred
        join pg_class c on c.oid = a.indrelid where c.relnamespace = 'public'::regnamespace""",
    "a constraint or an index that is not valid": """
        select conname from pg_constraint where connamespace = 'public'::regnamespace and not convalidated
        union all select indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid
            where c.relnamespace = 'public'::regnamespace and not i.indisvalid""",
    "an enum or a number whose equality leaks, on a table of tenants": """
        select c.relname || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
        join pg_type t on t.oid = a.atttypid where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
        and a.attnum > 0 and not a.attisdropped and c.relrowsecurity and (t.typtype = 'e' or t.typname = 'numeric')""",
}
AS_WRITTEN = "a variable read once per row instead of once per statement"


@pytest.mark.parametrize("lint", [lint for lint in LINTS if lint != AS_WRITTEN])
async def test_the_catalogue_holds(superuser: asyncpg.Connection, lint: str) -> None:
    assert [row[0] for row in await superuser.fetch(LINTS[lint])] == []


@pytest.mark.unset_tenant
async def test_the_policies_hold_as_they_are_written(superuser: asyncpg.Connection) -> None:
    assert [row[0] for row in await superuser.fetch(LINTS[AS_WRITTEN])] == []


BROKEN = {
    "a foreign key without an index": "drop index ix_releases_org_id_config_revision_id",
    "a variable read once per row instead of once per statement": (
        "alter policy apps_wall on apps using (org_id = nullif(current_setting('kovra.org_id', true), '')::uuid)"
    ),
    "row-level security without a policy": (
        "create table x (a int); alter table x owner to kovra_owner; alter table x enable row level security"
    ),
    "a policy on a table whose row-level security is off": "alter table apps no force row level security",
    "more than one permissive policy for a command of the program": (
        "create policy x on apps for select to kovra_app using (false)"
    ),
    "a policy that is always true, other than the doors' and the owner's walk": (
        "alter policy apps_tenant on apps with check (true)"
    ),
    "a policy for everybody": "create policy x on apps for select using (false)",
    "a view with its owner's rights, or one that is materialised": (
        "create view x as select 1 as one; alter view x owner to kovra_owner"
    ),
    "a partition that can be reached beside its parent's policies": (
        "create table x (a int) partition by list (a); create table x_1 partition of x for values in (1); "
        "grant select on x_1 to kovra_app; alter table x owner to kovra_owner; alter table x_1 owner to kovra_owner"
    ),
    "a function with a mutable search path": "alter function enter_user(uuid) reset search_path",
    "a function that everybody may call": "grant execute on function enter_user(uuid) to public",
    "a function with its owner's rights that others than the program may call": (
        "grant execute on function login_door(text, text) to kovra_backup"
    ),
    "a function with its owner's rights whose owner is no door's": "alter function login_door(text, text) owner to kovra_owner",
    "something that kovra_owner does not own, other than the doors": "create table x (a int)",
    "a whole table that the doors may read": "grant select on apps to kovra_lookup",
    "something a backup would leave out": "create sequence x; revoke select on x from kovra_backup",
    "something a backup could change": "grant update on apps to kovra_backup",
    "an index that another one repeats": "create index x on apps (org_id, id)",
    "a constraint or an index that is not valid": "alter table apps add constraint x check (drain_s >= 0) not valid",
    "an enum or a number whose equality leaks, on a table of tenants": "alter table apps add column x numeric",
}


@pytest.mark.parametrize("lint", LINTS)
async def test_each_lint_finds_what_it_is_for(superuser: asyncpg.Connection, lint: str) -> None:
    transaction = superuser.transaction()
    await transaction.start()
    try:
        before = len(await superuser.fetch(LINTS[lint]))
        await superuser.execute(BROKEN[lint])
        assert len(await superuser.fetch(LINTS[lint])) > before
    finally:
        await transaction.rollback()
