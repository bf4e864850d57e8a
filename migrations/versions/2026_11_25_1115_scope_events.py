"""Events say where they belong (project, app, environment): narrowed tokens see only what is theirs, streams filter by it.

The place is part of the hash chain: events written from now on are hashed in version 2, older ones keep version 1.

Revision: 0009_scope_events
After: 0008_needed_masters
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from migrations.policies import function, narrowed

revision = "0009_scope_events"
down_revision = "0008_needed_masters"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("project_id", "app_id", "environment_id"):
        op.add_column("events", sa.Column(name, sa.Uuid(), nullable=True))
    op.add_column("events", sa.Column("hash_version", sa.SmallInteger(), nullable=False, server_default="1"))
    narrowed("events", verb="select", project="project_id", app="app_id", environment="environment_id")
    _hash()
    _writer()


def _hash() -> None:
    op.execute("drop function event_hash(bytea, bigint, uuid, uuid, timestamptz, text[])")
    function(
        "event_hash(p_version smallint, p_previous bytea, p_seq bigint, p_id uuid, p_org uuid, p_at timestamptz, "
        "p_fields text[], p_place text[])",
        """
        declare
            v bytea := set_byte('\\x00'::bytea, 0, p_version) || p_previous;
            f text;
        begin
            v := v || public.field_bytes(p_seq::text) || public.field_bytes(p_id::text) || public.field_bytes(p_org::text)
                || public.field_bytes(to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
            foreach f in array case when p_version = 1 then p_fields else p_fields || p_place end loop
                v := v || public.field_bytes(coalesce(f, ''));
            end loop;
            return sha256(v);
        end
        """,
        returns="bytea",
        options="immutable",
    )


def _writer() -> None:
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
                v_hash := public.event_hash(2::smallint, v_hash, v_seq, (e ->> 'id')::uuid, v_org, now(), array[
                    e ->> 'type', coalesce(e ->> 'actor', v_actor), e ->> 'origin', e ->> 'subject', (e -> 'payload')::text],
                    array[e ->> 'project_id', e ->> 'app_id', e ->> 'environment_id']);
                insert into public.events (id, org_id, seq, type, actor, origin, subject, payload, created_at, hash,
                        hash_version, project_id, app_id, environment_id)
                    values ((e ->> 'id')::uuid, v_org, v_seq, e ->> 'type', coalesce(e ->> 'actor', v_actor),
                        e ->> 'origin', e ->> 'subject', e -> 'payload', now(), v_hash, 2,
                        (e ->> 'project_id')::uuid, (e ->> 'app_id')::uuid, (e ->> 'environment_id')::uuid);
            end loop;
            update public.event_heads set seq = v_seq, hash = v_hash where org_id = v_org;
            perform pg_notify('kovra_events', v_org || ':' || v_seq);
        end
        """,
    )
    # Again, as replacing the function took it away: the queue's functions name tables without a schema.
    op.execute("alter function record_and_enqueue(jsonb, jsonb) set search_path = public, pg_temp")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
