"""The token bucket behind logins and sign-ups.

Revision: 0003_throttle
After: 0002_walls
"""

from __future__ import annotations

from migrations.policies import function

revision = "0003_throttle"
down_revision = "0002_walls"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
            return query select case when v_tokens < 0 then -v_tokens * p_window / p_burst else 0 end;
        end
        """,
        returns="table (wait_s double precision)",
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
