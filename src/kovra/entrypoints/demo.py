"""Demo data, made through the public API like anybody would."""

from __future__ import annotations

from typing import Any

from kovra.entrypoints.client import ApiRefused, Client
from kovra.entrypoints.devfolder import DataFolder

IMAGE = "registry.test/kovra/ok:1"


def make(url: str, folder: DataFolder, *, deploys: bool) -> None:
    """Two organizations, a project with an app and, where test images can run, its first release.

    Done once for a data folder; what a run left unfinished the next one completes. What people change stays.
    """
    done = folder.path / "demo"
    if done.exists():
        return
    owner = _person(url, "Demo", folder.secrets["demo_password"])
    if owner is not None:
        _shop(owner, deploys=deploys)
    _person(url, "Other", folder.secrets["other_password"])
    done.touch()


def _person(url: str, name: str, password: str) -> Client | None:
    """Sign up, or log in; None for somebody who has another password by now."""
    nobody = Client(url, token=None)
    credentials = {"email": f"{name.lower()}@example.test", "password": password}
    organization = {"name": name, "slug": name.lower()}
    try:
        tokens = nobody.call("POST", "/v1/auth/signup", {**credentials, "name": name, "organization": organization})
    except ApiRefused as refused:
        if refused.code != "email_taken":
            raise
        try:
            tokens = nobody.call("POST", "/v1/auth/login", credentials)
        except ApiRefused:
            return None
    return Client(url, token=tokens["access_token"])


def _shop(owner: Client, *, deploys: bool) -> None:
    _once(owner, "/v1/projects", {"name": "Shop", "slug": "shop"})
    _once(owner, "/v1/environments", {"project": "shop", "name": "Staging", "slug": "staging", "kind": "staging"})
    image = {"image": IMAGE} if deploys else {}
    _once(owner, "/v1/apps", {"project": "shop", "name": "Web", "slug": "web", **image})
    app = owner.call("GET", "/v1/apps?project=shop&slug=web")["data"][0]
    production = owner.call("GET", "/v1/environments?project=shop&slug=production")["data"][0]
    pairs = owner.call("GET", f"/v1/app-environments?app={app['id']}&environment={production['id']}")
    owner.call("PATCH", f"/v1/app-environments/{pairs['data'][0]['id']}/config", {"vars": {"GREETING": "hello"}})
    if deploys and not owner.call("GET", f"/v1/deployments?app={app['id']}")["data"]:
        owner.call("POST", f"/v1/apps/{app['id']}/deployments", {"environment": "production"})


def _once(owner: Client, path: str, body: dict[str, Any]) -> None:
    try:
        owner.call("POST", path, body)
    except ApiRefused as refused:
        if refused.status != 409:  # it is there already
            raise
