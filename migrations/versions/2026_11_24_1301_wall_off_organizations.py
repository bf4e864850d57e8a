"""Row-level security on every table, the entering functions, the doors and the ledger's writer.

Revision: 0002_walls
After: 0001_tables
"""

from __future__ import annotations

from alembic import op
from migrations.policies import (
    USER,
    door,
    function,
    hidden_columns,
    narrowed,
    readable_by_doors,
    tenant_table,
    user_table,
)

revision = "0002_walls"
down_revision = "0001_tables"
branch_labels = None
depends_on = None

APPEND_ONLY = ("select", "insert")


def upgrade() -> None:
    _tenant_tables()
    _people()
    _exceptions()
    _narrowing()
    _entering()
    _doors()
    _ledger()


def _tenant_tables() -> None:
    for table in (
        "memberships",
        "projects",
        "environments",
        "apps",
        "app_environments",
        "deployments",
        "holder_keys",
        "key_rotations",
        "idempotency_keys",
        "api_tokens",
    ):
        tenant_table(table)
    tenant_table("event_heads", grant=("select", "insert", "update"))
    tenant_table("events", grant=APPEND_ONLY)
    tenant_table("config_revisions")
    tenant_table("secret_versions")
    tenant_table("releases")
    tenant_table("organizations", column="id", grant=("select", "insert", "update"))
    op.execute("create policy organizations_all on organizations for select to kovra_owner using (true)")
    hidden_columns(
        "api_tokens",
        (
            "id, org_id, name, permissions, project_id, app_id, environment_id, created_by, creator, created_at, "
            "expires_at, last_used_at, revoked_at",
        ),
    )


def _people() -> None:
    user_table("sessions")
    user_table("refresh_tokens")
    user_table("user_holder_keys")
    hidden_columns("refresh_tokens", ("id, user_id, session_id, parent_id, created_at, expires_at, used_at",))
    op.execute("alter table users enable row level security")
    op.execute("alter table users force row level security")
    fellow = "id in (select m.user_id from memberships m)"
    op.execute(f"create policy users_seen on users for select to kovra_app using (id = {USER} or {fellow})")
    for verb, clause in (
        ("insert", f"with check (id = {USER})"),
        ("update", f"using (id = {USER}) with check (id = {USER})"),
        ("delete", f"using (id = {USER})"),
    ):
        op.execute(f"create policy users_{verb} on users for {verb} to kovra_app {clause}")
    op.execute(
        f"create policy users_owner on users for all to kovra_owner using (id = {USER}) with check (id = {USER})"
    )
    op.execute("create policy users_all on users for select to kovra_owner using (true)")
    op.execute("grant insert, update on users to kovra_app")
    op.execute(
        "grant select (id, email, name, created_at, updated_at, email_verified_at, password_changed_at, disabled_at, "
        "last_org_id) on users to kovra_app"
    )
    op.execute("grant select on users to kovra_backup")


def _exceptions() -> None:
    op.execute("grant select, insert, update, delete on rate_limits to kovra_app")
    op.execute("grant select, insert on master_key_checks to kovra_app")
    op.execute("grant select on master_key_checks, alembic_version to kovra_backup")
    op.execute("grant select on alembic_version to kovra_app")


def _narrowing() -> None:
    narrowed("projects", project="id")
    narrowed("environments", project="project_id", environment="id")
    narrowed("apps", project="project_id", app="id")
    narrowed("app_environments", project="project_id", app="app_id", environment="environment_id")


def _entering() -> None:
    function(
        "set_entry(p_org uuid, p_user uuid, p_actor text, p_role text, p_permissions text)",
        """
        begin
            perform set_config('kovra.org_id', p_org::text, true), set_config('kovra.user_id', p_user::text, true),
                set_config('kovra.actor', p_actor, true), set_config('kovra.role', p_role, true),
                set_config('kovra.permissions', p_permissions, true),
                set_config('kovra.narrow_project', '*', true), set_config('kovra.narrow_app', '*', true),
                set_config('kovra.narrow_environment', '*', true);
        end
        """,
    )
    function(
        "enter_session(p_user uuid, p_org uuid, p_session uuid, p_allowed text[])",
        """
        declare
            v_role text;
        begin
            perform public.set_entry(p_org, p_user, 'user:' || p_user, '', '');
            perform 1 from public.sessions s
                where s.user_id = p_user and s.id = p_session and s.ended_at is null and s.expires_at > now();
            if not found then
                raise exception 'ended' using errcode = 'KV401';
            end if;
            select m.role into v_role from public.memberships m
                join public.organizations o on o.id = m.org_id and o.deleted_at is null
                where m.org_id = p_org and m.user_id = p_user;
            if v_role is null and p_org <> '00000000-0000-0000-0000-000000000000' then
                raise exception 'ended' using errcode = 'KV401';
            end if;
            if p_allowed is not null and (v_role is null or not v_role = any (p_allowed)) then
                raise exception 'not allowed' using errcode = 'KV403', detail = coalesce(v_role, 'none');
            end if;
            perform set_config('kovra.role', coalesce(v_role, ''), true);
        end
        """,
    )
    function(
        "enter_user(p_user uuid)",
        """
        begin
            perform public.set_entry('00000000-0000-0000-0000-000000000000', p_user, 'user:' || p_user, '', '');
        end
        """,
    )
    function(
        "enter_organization(p_org uuid)",
        """
        begin
            perform public.set_entry(p_org, '00000000-0000-0000-0000-000000000000', 'system', '', '');
            perform 1 from public.organizations o where o.id = p_org;
            if not found then
                raise exception 'absent' using errcode = 'KV404';
            end if;
        end
        """,
    )
    function(
        "enter_founding(p_user uuid, p_org uuid)",
        """
        begin
            perform public.set_entry(p_org, p_user, 'user:' || p_user, 'owner', '');
            perform 1 from public.organizations o where o.id = p_org;
            if found then
                raise exception 'exists' using errcode = 'KV404';
            end if;
        end
        """,
    )
    function(
        "narrowing(p_name text)",
        """
        declare
            v text := current_setting('kovra.narrow_' || p_name, true);
        begin
            return case when v in ('', '*') then null else v::uuid end;
        end
        """,
        returns="uuid",
        options="stable",
    )
    function(
        "current_access()",
        """
        begin
            return query select current_setting('kovra.actor', true), current_setting('kovra.role', true),
                string_to_array(nullif(current_setting('kovra.permissions', true), ''), ','),
                public.narrowing('project'), public.narrowing('app'), public.narrowing('environment');
        end
        """,
        returns="table (actor text, role text, permissions text[], project_id uuid, app_id uuid, environment_id uuid)",
        options="stable",
    )


def _doors() -> None:
    readable_by_doors("users", ("id", "email", "password_hash", "disabled_at", "last_org_id"))
    readable_by_doors("sessions", ("id", "user_id", "current_org_id", "ended_at", "expires_at"))
    readable_by_doors("refresh_tokens", ("id", "user_id", "session_id", "hash"))
    readable_by_doors("memberships", ("org_id", "user_id", "role", "created_at"))
    readable_by_doors("organizations", ("id", "name", "slug", "plan", "created_at", "deleted_at"))
    readable_by_doors(
        "api_tokens",
        ("id", "org_id", "hash", "permissions", "project_id", "app_id", "environment_id", "expires_at", "revoked_at"),
    )
    readable_by_doors(
        "deployments", ("id", "org_id", "phase", "outcome", "updated_at", "deadline_at", "lease_expires_at")
    )
    readable_by_doors("app_environments", ("id", "org_id", "health", "watch_until", "current_release_id", "deleted_at"))
    for table in ("projects", "environments", "apps"):
        readable_by_doors(table, ("id", "org_id", "purge_at"))
    readable_by_doors("key_rotations", ("id", "org_id", "finished_at"))
    readable_by_doors("holder_keys", ("org_id", "master_set", "master_version", "state"))
    op.execute("grant execute on function set_entry(uuid, uuid, text, text, text) to kovra_lookup")
    door(
        "login_door(p_email text)",
        """
        begin
            return query select u.id, u.password_hash, u.disabled_at is not null, u.last_org_id
                from public.users u where u.email = p_email;
        end
        """,
        returns="table (user_id uuid, password_hash text, disabled boolean, last_org_id uuid)",
    )
    door(
        "password_door(p_user uuid)",
        """
        begin
            return query select u.password_hash from public.users u where u.id = p_user;
        end
        """,
        returns="table (password_hash text)",
    )
    door(
        "refresh_door(p_hash bytea)",
        """
        begin
            return query select t.id, t.user_id, t.session_id from public.refresh_tokens t where t.hash = p_hash;
        end
        """,
        returns="table (token_id uuid, user_id uuid, session_id uuid)",
    )
    door(
        "memberships_door(p_user uuid)",
        """
        begin
            return query select o.id, o.name, o.slug, o.plan, m.role, o.created_at
                from public.memberships m join public.organizations o on o.id = m.org_id
                where m.user_id = p_user and o.deleted_at is null order by m.created_at, o.id limit 200;
        end
        """,
        returns="table (org_id uuid, name text, slug text, plan text, role text, created_at timestamptz)",
    )
    door(
        "enter_token(p_org uuid, p_hash bytea, p_permission text)",
        """
        declare
            v record;
        begin
            select t.id, t.permissions, t.project_id, t.app_id, t.environment_id into v
                from public.api_tokens t join public.organizations o on o.id = t.org_id and o.deleted_at is null
                where t.org_id = p_org and t.hash = p_hash and t.revoked_at is null
                and (t.expires_at is null or t.expires_at > now());
            if v.id is null then
                raise exception 'ended' using errcode = 'KV401';
            end if;
            perform public.set_entry(p_org, '00000000-0000-0000-0000-000000000000', 'token:' || v.id, '',
                array_to_string(v.permissions, ','));
            if p_permission is not null and not p_permission = any (v.permissions) then
                raise exception 'not allowed' using errcode = 'KV403', detail = 'token';
            end if;
            perform set_config('kovra.narrow_project', coalesce(v.project_id::text, '*'), true),
                set_config('kovra.narrow_app', coalesce(v.app_id::text, '*'), true),
                set_config('kovra.narrow_environment', coalesce(v.environment_id::text, '*'), true);
        end
        """,
        returns="void",
    )
    door(
        "due_work(p_kind text, p_limit integer)",
        """
        begin
            if p_kind = 'deployments' then
                return query select d.org_id, d.id from public.deployments d where d.outcome is null
                    and (d.lease_expires_at is null or d.lease_expires_at < now())
                    and (d.deadline_at < now() or d.updated_at < now() - interval '30 seconds')
                    order by d.updated_at limit p_limit;
            elsif p_kind = 'watching' then
                return query select a.org_id, a.id from public.app_environments a
                    where a.health = 'watching' and a.watch_until < now() limit p_limit;
            elsif p_kind = 'live' then
                return query select a.org_id, a.id from public.app_environments a
                    where a.current_release_id is not null and a.deleted_at is null order by a.id;
            elsif p_kind = 'purge_projects' then
                return query select p.org_id, p.id from public.projects p where p.purge_at < now() limit p_limit;
            elsif p_kind = 'purge_environments' then
                return query select e.org_id, e.id from public.environments e where e.purge_at < now() limit p_limit;
            elsif p_kind = 'purge_apps' then
                return query select a.org_id, a.id from public.apps a where a.purge_at < now() limit p_limit;
            elsif p_kind = 'key_rotations' then
                return query select r.org_id, r.id from public.key_rotations r where r.finished_at is null limit p_limit;
            else
                raise exception 'unknown kind of work';
            end if;
        end
        """,
        returns="table (org_id uuid, id uuid)",
    )
    # Hot reads name the entry in one form for both kinds of credential.
    function(
        "enter_any(p_org uuid, p_user uuid, p_session uuid, p_hash bytea, p_right text[])",
        """
        begin
            if p_hash is not null then
                perform public.enter_token(p_org, p_hash, p_right[1]);
            else
                perform public.enter_session(p_user, p_org, p_session, p_right);
            end if;
        end
        """,
    )


def _ledger() -> None:
    function(
        "field_bytes(p_text text)",
        "begin return int4send(octet_length(convert_to(p_text, 'UTF8'))) || convert_to(p_text, 'UTF8'); end",
        returns="bytea",
        options="immutable",
    )
    function(
        "event_hash(p_previous bytea, p_seq bigint, p_id uuid, p_org uuid, p_at timestamptz, p_fields text[])",
        """
        declare
            v bytea := '\\x01'::bytea || p_previous;
            f text;
        begin
            v := v || public.field_bytes(p_seq::text) || public.field_bytes(p_id::text) || public.field_bytes(p_org::text)
                || public.field_bytes(to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
            foreach f in array p_fields loop
                v := v || public.field_bytes(f);
            end loop;
            return sha256(v);
        end
        """,
        returns="bytea",
        options="immutable",
    )
    function(
        "record_and_enqueue(p_events jsonb, p_jobs jsonb)",
        """
        declare
            v_org uuid := current_setting('kovra.org_id')::uuid;
            v_actor text := current_setting('kovra.actor');
            v_seq bigint;
            v_hash bytea;
            e jsonb;
        begin
            if jsonb_array_length(p_jobs) > 0 then
                perform public.procrastinate_defer_jobs_v1((
                    select array_agg((
                        j ->> 'queue', j ->> 'task', (j ->> 'priority')::int, j ->> 'lock', null,
                        jsonb_build_object('org_id', v_org, 'id', j ->> 'id'), (j ->> 'scheduled_at')::timestamptz
                    )::public.procrastinate_job_to_defer_v1 order by o)
                    from jsonb_array_elements(p_jobs) with ordinality t (j, o)));
            end if;
            if jsonb_array_length(p_events) = 0 then
                return;
            end if;
            -- The head row comes last: nothing after it can wait on a lock, so sequences have no gaps.
            select h.seq, h.hash into strict v_seq, v_hash from public.event_heads h where h.org_id = v_org for update;
            for e in select value from jsonb_array_elements(p_events) loop
                v_seq := v_seq + 1;
                v_hash := public.event_hash(v_hash, v_seq, (e ->> 'id')::uuid, v_org, now(), array[
                    e ->> 'type', coalesce(e ->> 'actor', v_actor), e ->> 'origin', e ->> 'subject', (e -> 'payload')::text]);
                insert into public.events (id, org_id, seq, type, actor, origin, subject, payload, created_at, hash)
                    values ((e ->> 'id')::uuid, v_org, v_seq, e ->> 'type', coalesce(e ->> 'actor', v_actor),
                        e ->> 'origin', e ->> 'subject', e -> 'payload', now(), v_hash);
            end loop;
            update public.event_heads set seq = v_seq, hash = v_hash where org_id = v_org;
            perform pg_notify('kovra_events', v_org || ':' || v_seq);
        end
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("the walls are not taken down; restore a backup instead")
