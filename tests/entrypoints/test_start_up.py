"""Processes that must not serve end at once, and say why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.postgres import PASSWORDS, TestDatabase


@pytest.mark.parametrize("verb", ["api", "worker"])
def test_a_process_with_a_powerful_role_ends_and_says_why(database: TestDatabase, keyrings: Path, verb: str) -> None:
    """T017: superuser for one, owner's member for the other; neither serves."""
    server = database.server
    powerful = server.url("postgres", server.password, database.name)
    done = subprocess.run(
        [sys.executable, "-m", "kovra", verb],
        env={
            **os.environ,
            "KOVRA_ENVIRONMENT": "development",
            "KOVRA_DATABASE_URL": powerful if verb == "api" else database.migrator_url,
            "KOVRA_KEYRING_FILE": str(keyrings / f"{verb}.json"),
            "KOVRA_PEPPER": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=",
            "KOVRA_CURSOR_KEY": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=",
            "KOVRA_TOKEN_KEYS": '{"signing": "t", "keys": {"t": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="}}',
            "KOVRA_PORT": "0",
            "KOVRA_METRICS_PORT": "0",
        },
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "The database role is a superuser, bypasses policies, owns tables or is a member of a role." in said
    for secret in (server.password, PASSWORDS.migrator):
        assert secret not in said
