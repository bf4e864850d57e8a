"""Demo data, made through the public API like anybody would."""

from __future__ import annotations

from typing import Any

from kovra.entrypoints.client import ApiRefused, Client


def make(url: str, known: dict[str, str]) -> None:
    """Two organizations, a project with an app, and a first release; does nothing where it is there already."""
    owner = Client(url, token=None)
    person = {
        "email": "demo@example.test",
        "password": known["demo_password"],
        "name": "Demo",
        "organization": {"name": "Demo", "slug": "demo"},
    }
    try:
        tokens = owner.call("POST", "/v1/auth/signup", person)
    except ApiRefused as refused:
        if refused.code == "email_taken":
            return
        raise
    owner.token = tokens["access_token"]
    _first_deploy(owner)
    other = {
        **person,
        "email": "other@example.test",
        "password": known["other_password"],
        "name": "Other",
        "organization": {"name": "Other", "slug": "other"},
    }
    Client(url, token=None).call("POST", "/v1/auth/signup", other)


def _first_deploy(owner: Client) -> None:
    owner.call("POST", "/v1/projects", {"name": "Shop", "slug": "shop"})
    owner.call("POST", "/v1/environments", {"project": "shop", "name": "Staging", "slug": "staging", "kind": "staging"})
    app = owner.call(
        "POST", "/v1/apps", {"project": "shop", "name": "Web", "slug": "web", "image": "registry.test/kovra/ok:1"}
    )
    pairs: dict[str, Any] = owner.call("GET", f"/v1/app-environments?app={app['id']}")
    environments = owner.call("GET", "/v1/environments?project=shop&slug=production")
    production = environments["data"][0]["id"]
    pair = next(p for p in pairs["data"] if p["environment_id"] == production)
    owner.call("PATCH", f"/v1/app-environments/{pair['id']}/config", {"vars": {"GREETING": "hello"}})
    owner.call("POST", f"/v1/apps/{app['id']}/deployments", {"environment": "production"})
