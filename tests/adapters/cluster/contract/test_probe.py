"""A look at a real cluster, as its administrator, as Kovra's own account, and as an account that may nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from kovra.adapters.cluster.probe import look_at
from tests.support.cluster_accounts import USER, as_account


@pytest.mark.cluster
async def test_the_worker_s_account_has_every_right_and_by_its_role_inside(real: Path) -> None:
    async with as_account(real, "kovra-worker") as (admin, own):
        whole, seen = await look_at(admin), await look_at(own)
    assert (whole.missing, whole.inside_by, whole.pod_security) == ((), "held", "yes")
    assert (seen.missing, seen.inside_by, seen.username) == ((), "role", USER)
    assert seen.pod_security in ("yes", "unknown")


@pytest.mark.cluster
async def test_what_an_account_lacks_is_named(real: Path) -> None:
    async with as_account(real, "kovra-streamer") as (_, poor):
        seen = await look_at(poor)
    assert seen.inside_by == "nothing"
    assert {
        "create namespaces",
        "create secrets",
        "bind clusterroles.rbac.authorization.k8s.io/kovra-tenant-manager",
    } <= set(seen.missing)
