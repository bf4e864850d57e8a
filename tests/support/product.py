"""The product as a test drives it: over HTTP, as somebody."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx

from kovra.adapters.cluster.simulator import Simulator
from kovra.foundation.web.application import Application
from kovra.settings import Settings
from tests.support.described import documented
from tests.support.postgres import TestDatabase


@dataclass
class Caller:
    """Somebody with a credential, or nobody."""

    product: Product
    token: str | None = None
    organization: dict[str, Any] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)
    email: str = ""
    password: str = ""
    refresh_token: str = ""

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One call; header names with underscores."""
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        if self.token:
            named["Authorization"] = f"Bearer {self.token}"
        async with self.product.client() as client:
            return await client.request(method, path, json=body, headers=named)

    async def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """One call that must succeed; its JSON. A 503 says that nothing was done and when to come back."""
        response = await self.send(method, path, body, **headers)
        for _ in range(5):
            if response.status_code != 503:
                break
            await asyncio.sleep(float(response.headers["retry-after"]))
            response = await self.send(method, path, body, **headers)
        assert response.status_code < 300, (method, path, response.status_code, response.text)
        return response.json() if response.content else None

    async def get(self, path: str) -> Any:
        return await self.ok("GET", path)

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return await self.ok("POST", path, body, **headers)

    async def patch(self, path: str, body: Any, **headers: str) -> Any:
        return await self.ok("PATCH", path, body, **headers)

    async def events(self, kind: str | None = None, subject: str | None = None) -> list[Any]:
        """The facts of the organization, oldest first."""
        filters = {"type": kind, "subject": subject}
        query = "".join(f"&{name}={value}" for name, value in filters.items() if value)
        found: list[Any] = (await self.get(f"/v1/events?limit=200{query}"))["data"]
        return found

    async def membership(self, person: Caller) -> Any:
        """A person's row among the members."""
        return next(m for m in (await self.get("/v1/members"))["data"] if m["user"]["id"] == person.user["id"])

    async def registry_credential(self, registry: str, username: str = "bot", password: str = "may-pull-only") -> Any:
        """A stored credential for a private registry."""
        body = {"registry": registry, "username": username, "password": password}
        return await self.post("/v1/registry-credentials", body)

    async def cluster(self, kubeconfig: str, *, consent: bool = True, **more: Any) -> Any:
        """A registered cluster of one's own; an owner consents to secrets being written there."""
        made = await self.post("/v1/clusters", {"name": f"C {secrets.token_hex(4)}", "kubeconfig": kubeconfig, **more})
        path = f"/v1/clusters/{made['id']}"
        return await self.patch(path, {"accept_unencrypted_secrets": True}) if consent else made

    async def app(self, image: str | None = "registry.test/kovra/ok:1", **more: Any) -> App:
        """A project, its production environment and an app in it."""
        slug = f"p{secrets.token_hex(4)}"
        project = await self.post("/v1/projects", {"name": slug, "slug": slug})
        body = {"project": slug, "name": "Web", "slug": "web", "image": image, **more}
        made = await self.post("/v1/apps", body)
        environment = (await self.get(f"/v1/environments?project={slug}"))["data"][0]
        pair = (await self.get(f"/v1/app-environments?app={made['id']}"))["data"][0]
        return App(caller=self, project=project, environment=environment, app=made, pair=pair)


@dataclass
class App:
    """An app in its first environment."""

    caller: Caller
    project: dict[str, Any]
    environment: dict[str, Any]
    app: dict[str, Any]
    pair: dict[str, Any]

    @property
    def path(self) -> str:
        return f"/v1/app-environments/{self.pair['id']}"

    async def start(self, **body: Any) -> Any:
        """Ask for a deployment."""
        return await self.caller.post(f"/v1/apps/{self.app['id']}/deployments", {"environment": "production", **body})

    async def finished(self, deployment: dict[str, Any], wait: int = 40) -> Any:
        """Wait for the verdict; twice, for a step that was missed is found by the sweep after half a minute."""
        for _ in range(2):
            found = await self.caller.get(f"/v1/deployments/{deployment['id']}?wait={wait}&until=terminal")
            if found["outcome"] is not None:
                break
        assert found["outcome"] is not None, found
        return found

    async def deploy(self, **body: Any) -> Any:
        """Deploy and wait for the verdict."""
        return await self.finished(await self.start(**body))

    async def wish(self, **app: Any) -> Any:
        """A change set that says this of the app."""
        state = {"version": 1, "project": self.project["slug"], "apps": {self.app["slug"]: app}}
        return await self.caller.post("/v1/change-sets", {"environment": "production", "state": state})

    async def now(self) -> Any:
        return await self.caller.get(self.path)


@dataclass
class Product:
    """The api in this process."""

    app: Application
    database: TestDatabase
    settings: Settings
    simulator: Simulator | None = None

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(
            transport=transport, base_url="http://api.test", timeout=90, event_hooks={"response": [documented]}
        )

    def nobody(self) -> Caller:
        return Caller(self)

    async def sign_up(self, name: str = "Ada", *, password: str | None = None) -> Caller:
        """A new person with a new organization, its owner."""
        tag = secrets.token_hex(5)
        body = {
            "email": f"{name.lower()}-{tag}@example.test",
            "password": password or f"correct horse {tag}",
            "name": name,
            "organization": {"name": f"Org {tag}"},
        }
        made = await Caller(self).post("/v1/auth/signup", body)
        return Caller(
            self,
            made["access_token"],
            organization=made["organization"],
            user=made["user"],
            email=body["email"],
            password=body["password"],
            refresh_token=made["refresh_token"],
        )

    async def sql(self, statement: str, *values: Any) -> list[Any]:
        """A statement of the database's superuser: what no route does yet, and the passing of time."""
        import asyncpg

        connection = await asyncpg.connect(**self.database.superuser())  # type: ignore[arg-type]
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()

    async def log_in(self, person: Caller, **more: Any) -> Caller:
        """Another login of the same person."""
        pair = await self.nobody().post("/v1/auth/login", {"email": person.email, "password": person.password, **more})
        return Caller(
            self,
            pair["access_token"],
            organization=pair["organization"],
            user=person.user,
            email=person.email,
            password=person.password,
            refresh_token=pair["refresh_token"],
        )

    async def member(self, owner: Caller, role: str) -> Caller:
        """Another person in the owner's organization, placed there by the database's superuser."""
        from kovra.foundation.ids import decode, new_id

        person = await self.sign_up(role.title())
        await self.sql(
            "insert into memberships (id, org_id, user_id, role) values ($1, $2, $3, $4)",
            new_id(),
            decode("org", owner.organization["id"]),
            decode("usr", person.user["id"]),
            role,
        )
        pair = await person.post("/v1/auth/switch", {"organization": owner.organization["id"]})
        person.token, person.organization = pair["access_token"], pair["organization"]
        person.refresh_token = pair["refresh_token"]
        return person
