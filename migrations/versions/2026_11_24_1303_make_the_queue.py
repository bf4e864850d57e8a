"""The queue's tables as procrastinate 3.10 ships them, and our trigger that wakes workers when a lock is released.

Revision: 0004_queue
After: 0003_throttle

A newer procrastinate brings its own migration as a further revision; the digest below then says that this revision must
keep the schema it was written for.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

from alembic import op

revision = "0004_queue"
down_revision = "0003_throttle"
branch_labels = None
depends_on = None

SCHEMA_SHA256 = "c70ec4b400a60ad9592787653aae5ae77ae41bf801d56b5bd2712751a07f2009"
TABLES = "procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers, procrastinate_workers"


def upgrade() -> None:
    sql = files("procrastinate").joinpath("sql", "schema.sql").read_bytes()
    if hashlib.sha256(sql).hexdigest() != SCHEMA_SHA256:
        raise RuntimeError("procrastinate's schema is not the one of 3.10: keep that one beside this revision")
    op.get_bind().exec_driver_sql(sql.decode().replace("%", "%%"))
    op.execute(f"grant select, insert, update, delete on {TABLES} to kovra_app")
    op.execute(f"grant select on {TABLES} to kovra_backup")
    op.execute("grant usage on all sequences in schema public to kovra_app")
    # Its functions name tables without a schema; nobody but the owner may create in this one.
    op.execute("alter function record_and_enqueue(jsonb, jsonb) set search_path = public, pg_temp")
    op.execute(
        """
        do $$ declare f regprocedure; begin
            for f in select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                where n.nspname = 'public' and p.proname like 'procrastinate%' loop
                execute format('revoke execute on function %s from public', f);
                execute format('grant execute on function %s to kovra_app', f);
            end loop;
        end $$
        """
    )
    op.execute(
        """
        create function notify_lock_released() returns trigger language plpgsql set search_path = '' as $$
        begin
            -- Without this the next job of the same lock waits for the workers' poll.
            perform pg_notify('procrastinate_queue_v1#' || old.queue_name, '{"type": "job_inserted", "job_id": 0}');
            perform pg_notify('procrastinate_any_queue_v1', '{"type": "job_inserted", "job_id": 0}');
            return null;
        end $$
        """
    )
    op.execute("revoke execute on function notify_lock_released() from public")
    op.execute(
        """
        create trigger kovra_lock_released_by_update after update of status on procrastinate_jobs for each row
            when (old.lock is not null and old.status = 'doing' and new.status <> 'doing')
            execute function notify_lock_released()
        """
    )
    op.execute(
        """
        create trigger kovra_lock_released_by_delete after delete on procrastinate_jobs for each row
            when (old.lock is not null) execute function notify_lock_released()
        """
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
