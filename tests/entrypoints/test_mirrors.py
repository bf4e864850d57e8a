"""The mirror as settings describe it; on the platform's own ECR, against an AWS of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from kovra.adapters.aws.ecr import Ecr, EcrRefused, EcrUnavailable
from kovra.adapters.oci.pushing import MirrorFull, MirrorRefused, MirrorUnavailable
from kovra.entrypoints.mirrors import EcrHome, EcrRoles, PlainHome, images
from kovra.features.registries.service import RoleRefused
from kovra.settings import SettingInvalid, Settings

SESSION = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
OURS = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
async def ecr(moto: str) -> AsyncIterator[Ecr]:
    made = Ecr(endpoint_url=moto, session=SESSION)
    yield made
    made.close()


def settings(registry: str, **more: Any) -> Settings:
    return Settings(images_mirror="registry", mirror={"registry": registry}, **more)  # type: ignore[arg-type]


async def test_on_our_own_ecr_repositories_are_made_and_removed(ecr: Ecr, moto: str) -> None:
    mirror = images(settings(OURS), ecr).mirror
    assert mirror is not None
    assert isinstance(mirror.home, EcrHome)
    assert mirror.pull is None, "nodes come by their own role"
    pushes_as = await mirror.home.credential()
    assert pushes_as is not None
    assert (pushes_as.username, pushes_as.password.reveal()) == ("AWS", b"123456789012-auth-token")
    client = SESSION.client("ecr", endpoint_url=moto)
    home = mirror.place.home("0a", "0b")
    for _ in range(2):
        await mirror.home.ensure(home)
    assert [r["repositoryName"] for r in client.describe_repositories()["repositories"]] == ["kovra/0a/0b"]
    assert await mirror.home.forget(home)
    await mirror.home.ensure(home)
    assert len(client.describe_repositories()["repositories"]) == 1, "one that was removed is made again"
    client.close()


async def test_another_registry_is_pushed_to_as_one_user(ecr: Ecr) -> None:
    logins = {"mirror_username": "m", "mirror_password": "push", "mirror_pull_username": "n"}
    mirror = images(settings("Mirror.example.com", **logins, mirror_pull_password="pull"), ecr).mirror
    assert mirror is not None
    assert isinstance(mirror.home, PlainHome)
    assert mirror.place.registry == "mirror.example.com"
    assert mirror.pull is not None
    assert (mirror.pull.username, mirror.pull.renewed) == ("n", True)
    with pytest.raises(SettingInvalid, match="KOVRA_MIRROR_PULL"):
        images(settings("mirror.example.com", **logins), ecr)
    assert images(Settings(), ecr).mirror is None
    with pytest.raises(ValueError, match="KOVRA_MIRROR"):
        Settings(images_mirror="registry")


class Away:
    """An AWS that says no."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def make_repository(self, _region: str, _name: str) -> None:
        raise self.error

    async def password_by_role(self, _role: str, **_how: str) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EcrRefused("no", reason="LimitExceededException"), MirrorFull),
        (EcrRefused("no", reason="AccessDeniedException"), MirrorRefused),
        (EcrUnavailable("later", retry_after_s=3), MirrorUnavailable),
    ],
)
async def test_what_aws_says_has_a_meaning(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        await EcrHome(Away(error), "us-east-1").ensure("kovra/0a/0b")  # type: ignore[arg-type]


async def test_a_role_goes_with_a_registry_of_ecr_alone() -> None:
    roles = EcrRoles(Away(EcrRefused("AWS refuses (AccessDenied).")))  # type: ignore[arg-type]
    with pytest.raises(RoleRefused, match="AccessDenied"):
        await roles.password("arn:aws:iam::210987654321:role/x", external_id="org_0a", registry=OURS)
    with pytest.raises(RoleRefused, match="none of ECR's"):
        await roles.password("arn:aws:iam::210987654321:role/x", external_id="org_0a", registry="ghcr.io")
