"""Logins know the network they came from; disabling a person ends their logins; full buckets are swept away.

Revision: 0018_know_networks
After: 0017_index_keys
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from migrations.policies import door, function

revision = "0018_know_networks"
down_revision = "0017_index_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("network", sa.Text(), nullable=False, server_default=""))
    op.execute("grant select (network, created_at) on sessions to kovra_lookup")
    op.execute("grant select (updated_at) on organizations to kovra_lookup")
    _doors()
    _disabling()
    _sweeping()


def _doors() -> None:
    op.execute("drop function login_door(text)")
    door(
        "login_door(p_email text, p_network text)",
        """
        begin
            return query select u.id, u.password_hash, u.disabled_at is not null, u.last_org_id,
                exists (select 1 from public.sessions s where s.user_id = u.id and s.network = p_network
                    and s.network <> '' and s.created_at > now() - interval '60 days')
                from public.users u where u.email = p_email;
        end
        """,
        returns="table (user_id uuid, password_hash text, disabled boolean, last_org_id uuid, known_network boolean)",
    )
    op.execute("drop function memberships_door(uuid)")
    door(
        "memberships_door(p_user uuid)",
        """
        begin
            return query select o.id, o.name, o.slug, o.plan, m.role, o.created_at, o.updated_at
                from public.memberships m join public.organizations o on o.id = m.org_id
                where m.user_id = p_user and o.deleted_at is null order by m.created_at, o.id limit 200;
        end
        """,
        returns="table (org_id uuid, name text, slug text, plan text, role text, created_at timestamptz, "
        "updated_at timestamptz)",
    )


def _disabling() -> None:
    """Entering asks for the session alone, which is what every request pays for: disabling therefore ends the sessions."""
    function(
        "end_sessions_of_disabled()",
        """
        begin
            update public.sessions set ended_at = now(), ended_reason = 'user_disabled'
                where user_id = new.id and ended_at is null;
            return null;
        end
        """,
        returns="trigger",
    )
    op.execute("revoke execute on function end_sessions_of_disabled() from kovra_app")
    op.execute(
        "create trigger users_disabled after update of disabled_at on users for each row "
        "when (old.disabled_at is null and new.disabled_at is not null) execute function end_sessions_of_disabled()"
    )


def _sweeping() -> None:
    """A bucket that has filled up again is worth as much as none: every hundredth try removes some."""
    function(
        "take_token(p_key bytea, p_burst integer, p_window double precision)",
        """
        declare
            v_tokens double precision;
        begin
            insert into public.rate_limits as r (key, tokens, refilled_at) values (p_key, p_burst - 1, clock_timestamp())
            on conflict (key) do update set
                tokens = least(p_burst::double precision, r.tokens
                    + extract(epoch from clock_timestamp() - r.refilled_at) * p_burst / p_window) - 1,
                refilled_at = clock_timestamp()
            returning r.tokens into v_tokens;
            if v_tokens < 0 then
                -- Refused tries cost nothing further, or a flood would lock the bucket for ever.
                update public.rate_limits r set tokens = r.tokens + 1 where r.key = p_key;
            end if;
            if random() < 0.01 then
                delete from public.rate_limits d where d.key in (select r.key from public.rate_limits r
                    where r.refilled_at < clock_timestamp() - make_interval(secs => greatest(p_window, 3600))
                    limit 1000 for update skip locked);
            end if;
            return query select case when v_tokens < 0 then -v_tokens * p_window / p_burst else 0 end;
        end
        """,
        returns="table (wait_s double precision)",
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
