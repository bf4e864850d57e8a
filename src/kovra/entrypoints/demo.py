"""Demo data, made through the public API like anybody would."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kovra.client import ApiRefused, Client
from kovra.entrypoints.devfolder import DataFolder

if TYPE_CHECKING:
    from kovra.client.models import SignupOut, TokensOut

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
    email, slug = f"{name.lower()}@example.test", name.lower()
    tokens: SignupOut | TokensOut
    try:
        tokens = nobody.sign_up(
            {"email": email, "password": password, "name": name, "organization": {"name": name, "slug": slug}}
        )
    except ApiRefused as refused:
        if refused.code != "email_taken":
            raise
        try:
            tokens = nobody.log_in({"email": email, "password": password})
        except ApiRefused:
            return None
    return Client(url, token=tokens["access_token"])


def _shop(owner: Client, *, deploys: bool) -> None:
    _once(lambda: owner.create_project({"name": "Shop", "slug": "shop"}))
    _once(
        lambda: owner.create_environment({"project": "shop", "name": "Staging", "slug": "staging", "kind": "staging"})
    )
    image = IMAGE if deploys else None
    _once(lambda: owner.create_app({"project": "shop", "name": "Web", "slug": "web", "image": image}))
    app = owner.list_apps(project="shop", slug="web")["data"][0]
    production = owner.list_environments(project="shop", slug="production")["data"][0]
    pair = owner.list_app_environments(app=app["id"], environment=production["id"])["data"][0]
    owner.update_config(pair["id"], {"vars": {"GREETING": "hello"}})
    if deploys and not owner.list_deployments(app=app["id"])["data"]:
        owner.create_deployment(app["id"], {"environment": "production"})
    if deploys:
        _once(
            lambda: owner.create_cron_job(
                {
                    "app_environment": pair["id"], "name": "report", "schedule": "*/10 * * * *",
                    "command": ["/testapp", "task", "5"],
                }
            )
        )  # fmt: skip


def _once(make: Callable[[], object]) -> None:
    try:
        make()
    except ApiRefused as refused:
        if refused.status != 409:  # it is there already
            raise
