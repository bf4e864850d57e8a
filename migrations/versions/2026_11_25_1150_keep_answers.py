"""Idempotency keys in fewer round trips: one function begins, and the answer is kept with events and jobs.

Revision: 0011_keep_answers
After: 0010_tickets
"""

from __future__ import annotations

from alembic import op
from migrations.policies import function

revision = "0011_keep_answers"
down_revision = "0010_tickets"
branch_labels = None
depends_on = None


def upgrade() -> None:
    function(
        "kept_answer(p_principal text, p_route text, p_key text, p_now timestamptz)",
        """
        declare
            v_org uuid := current_setting('kovra.org_id')::uuid;
        begin
            if not pg_try_advisory_xact_lock(hashtextextended(
                    concat_ws(':', 'idempotency', v_org, p_principal, p_route, p_key), 0)) then
                return query select true, null::bytea, null::integer, null::jsonb, null::bytea;
                return;
            end if;
            -- A statement of its own: it sees what whoever had the lock before has committed.
            return query select false, k.fingerprint, k.status, k.headers, k.body from public.idempotency_keys k
                where k.org_id = v_org and k.principal = p_principal and k.route = p_route and k.key = p_key
                and k.expires_at > p_now;
        end
        """,
        returns="table (in_flight boolean, fingerprint bytea, status integer, headers jsonb, body bytea)",
    )
    _writer()


def _writer() -> None:
    op.execute("drop function record_and_enqueue(jsonb, jsonb)")
    function(
        "record_and_enqueue(p_events jsonb, p_jobs jsonb, p_answer jsonb)",
        """
        declare
            v_org uuid := current_setting('kovra.org_id')::uuid;
            v_actor text := current_setting('kovra.actor');
            v_seq bigint;
            v_hash bytea;
            e jsonb;
        begin
            if p_answer is not null then
                -- What earlier requests left behind goes; rows another request is sweeping are its business.
                delete from public.idempotency_keys k using (
                    select o.principal, o.route, o.key from public.idempotency_keys o
                    where o.org_id = v_org and o.expires_at < (p_answer ->> 'now')::timestamptz
                    limit 100 for update skip locked) old
                    where k.org_id = v_org and k.principal = old.principal and k.route = old.route and k.key = old.key;
                insert into public.idempotency_keys as k
                        (org_id, principal, route, key, fingerprint, status, headers, body, expires_at)
                    values (v_org, p_answer ->> 'principal', p_answer ->> 'route', p_answer ->> 'key',
                        decode(p_answer ->> 'fingerprint', 'hex'), (p_answer ->> 'status')::integer,
                        p_answer -> 'headers', decode(p_answer ->> 'body', 'base64'),
                        (p_answer ->> 'expires_at')::timestamptz)
                    on conflict (org_id, principal, route, key) do update set fingerprint = excluded.fingerprint,
                        status = excluded.status, headers = excluded.headers, body = excluded.body,
                        expires_at = excluded.expires_at;
            end if;
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
            select h.seq, h.hash into strict v_seq, v_hash from public.event_heads h
                where h.org_id = v_org for no key update;
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
    # The queue's functions name tables without a schema; nobody but the owner may create in this one.
    op.execute("alter function record_and_enqueue(jsonb, jsonb, jsonb) set search_path = public, pg_temp")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
