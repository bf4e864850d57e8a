"""The ledger's hash chain can be checked where it lies, page by page.

Revision: 0014_verify_ledger
After: 0013_page_due_work
"""

from __future__ import annotations

from migrations.policies import function

revision = "0014_verify_ledger"
down_revision = "0013_page_due_work"
branch_labels = None
depends_on = None


def upgrade() -> None:
    function(
        "verify_chain(p_after bigint, p_limit integer)",
        """
        declare
            v_org uuid := current_setting('kovra.org_id')::uuid;
            v_head public.event_heads;
            v_seq bigint := p_after;
            v_hash bytea := decode(repeat('00', 32), 'hex');
            e public.events;
        begin
            -- The head is read first: what is appended meanwhile lies behind it, and is of no concern.
            select * into strict v_head from public.event_heads h where h.org_id = v_org;
            if p_after > 0 then
                select h.hash into v_hash from public.events h where h.org_id = v_org and h.seq = p_after;
            end if;
            for e in select * from public.events x where x.org_id = v_org and x.seq > p_after and x.seq <= v_head.seq
                    order by x.seq limit p_limit loop
                if e.seq <> v_seq + 1 or e.hash is distinct from public.event_hash(e.hash_version, v_hash, e.seq, e.id,
                        e.org_id, e.created_at, array[e.type, e.actor, e.origin, e.subject, e.payload::text],
                        array[e.project_id::text, e.app_id::text, e.environment_id::text]) then
                    return query select v_seq, v_head.seq, v_seq + 1;
                    return;
                end if;
                v_seq := e.seq;
                v_hash := e.hash;
            end loop;
            -- Fewer than were asked for, and yet not at the head: the last ones are gone. At the head it must agree.
            if (v_seq < v_head.seq and v_seq < p_after + p_limit) or (v_seq = v_head.seq and v_hash <> v_head.hash) then
                return query select v_seq, v_head.seq, v_seq + 1;
                return;
            end if;
            return query select v_seq, v_head.seq, null::bigint;
        end
        """,
        returns="table (checked bigint, head bigint, broken bigint)",
        options="stable",
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
