"""Somebody who says what is wanted of a project, and has it made so."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.product import Caller, Product


@dataclass
class Shop:
    """A project with what its file says of it."""

    caller: Caller
    project: dict[str, Any]

    @property
    def slug(self) -> str:
        slug: str = self.project["slug"]
        return slug

    def state(self, apps: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        return {"version": 1, "project": self.slug, "apps": apps or {}, **more}

    async def plan(self, state: dict[str, Any], environment: str = "production", **more: Any) -> Any:
        """A change set, planned."""
        made = await self.caller.post("/v1/change-sets?wait=30", {"environment": environment, "state": state, **more})
        assert made["state"] != "planning", made
        return made

    async def ready(self, state: dict[str, Any], environment: str = "production", **more: Any) -> Any:
        made = await self.plan(state, environment, **more)
        assert made["state"] == "ready", made["reason"]
        return made

    async def tag(self, change_set: dict[str, Any], caller: Caller | None = None) -> str:
        answer = await (caller or self.caller).send("GET", f"/v1/change-sets/{change_set['id']}")
        return answer.headers["etag"]

    async def apply(self, change_set: dict[str, Any]) -> Any:
        tag = await self.tag(change_set)
        return await self.caller.post(f"/v1/change-sets/{change_set['id']}/actions/apply", If_Match=tag)

    async def make(self, state: dict[str, Any], environment: str = "production", **more: Any) -> Any:
        """Planned and applied, and every deployment live."""
        made = await self.apply(await self.ready(state, environment, **more))
        for one in made["deployment_ids"]:
            ended = await self.caller.get(f"/v1/deployments/{one}?wait=40&until=terminal")
            assert ended["outcome"] == "live", ended
        return made

    async def export(self, query: str = "") -> Any:
        return await self.caller.get(f"/v1/projects/{self.project['id']}/export{query}")


async def open_shop(caller: Caller) -> Shop:
    slug = f"p{secrets.token_hex(4)}"
    return Shop(caller, await caller.post("/v1/projects", {"name": slug, "slug": slug}))


@pytest.fixture
async def shop(running: Product) -> Shop:
    return await open_shop(await running.sign_up())


def changes(change_set: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Part and path → before and after."""
    return {f"{c['part']}.{c['path']}": (c["before"], c["after"]) for c in change_set["changes"]}


def warned(change_set: dict[str, Any]) -> set[str]:
    return {w["code"] for w in change_set["warnings"]}
