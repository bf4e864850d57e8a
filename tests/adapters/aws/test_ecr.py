"""Passwords of ECR registries against an AWS of our own: made as a role, bounded, kept for a while, refused by name."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from kovra.adapters.aws import ecr as module
from kovra.adapters.aws.ecr import Ecr, EcrRefused, EcrUnavailable, account_of
from kovra.foundation import clock

SESSION = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
ROLE = "arn:aws:iam::210987654321:role/kovra-pulls"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What AWS is asked, in order; its answers say that passwords end in twelve hours (moto's ended long ago)."""
    found: list[tuple[str, dict[str, Any]]] = []
    made = Ecr._client

    def noted(self: Ecr, service: str, region: str, session: boto3.Session | None = None) -> Any:
        client = made(self, service, region, session)
        client.meta.events.register(
            "provide-client-params.*.*",
            lambda params, model, **_: found.append((model.name, {**params, "region": region})),
        )
        client.meta.events.register("after-call.ecr.GetAuthorizationToken", _in_time)
        return client

    monkeypatch.setattr(Ecr, "_client", noted)
    return found


def _in_time(parsed: dict[str, Any], **_: Any) -> None:
    for entry in parsed["authorizationData"]:
        entry["expiresAt"] = clock.now() + timedelta(hours=12)


@pytest.fixture
async def ecr(moto: str) -> AsyncIterator[Ecr]:
    made = Ecr(endpoint_url=moto, session=SESSION)
    yield made
    made.close()


async def test_a_role_is_assumed_for_one_organization_and_may_only_pull(
    ecr: Ecr, asked: list[tuple[str, dict[str, Any]]]
) -> None:
    """The confused deputy: the external id is the organization's, whatever the customer says."""
    found = await ecr.password_by_role(ROLE, external_id="org_0a", region="eu-west-1")
    assert found.username == "AWS"
    assert found.password.reveal() == b"210987654321-auth-token", "asked as the role, in its account"
    assert [name for name, _ in asked] == ["GetCallerIdentity", "AssumeRole", "GetAuthorizationToken"]
    assumed = asked[1][1]
    assert (assumed["RoleArn"], assumed["ExternalId"], assumed["DurationSeconds"]) == (ROLE, "org_0a", 900)
    allowed = json.loads(assumed["Policy"])["Statement"][0]["Action"]
    assert not [action for action in allowed if "Put" in action or "Upload" in action or "*" in action]
    assert {asked_in["region"] for _, asked_in in asked} == {"eu-west-1"}


async def test_a_password_is_kept_for_five_hours_and_never_for_another(
    ecr: Ecr, asked: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.monotonic()
    monkeypatch.setattr(module.clock, "monotonic", lambda: now)
    for _ in range(2):
        await ecr.password_by_role(ROLE, external_id="org_0a", region="us-east-1")
    made = [name for name, _ in asked].count("AssumeRole")
    await ecr.password_by_role(ROLE, external_id="org_0b", region="us-east-1")
    await ecr.password_by_role(ROLE, external_id="org_0a", region="us-east-2")
    now += module.FRESH_S + 1
    await ecr.password_by_role(ROLE, external_id="org_0a", region="us-east-1")
    assert (made, [name for name, _ in asked].count("AssumeRole")) == (1, 4)


async def test_a_password_that_ends_soon_is_not_kept(ecr: Ecr, moto: str) -> None:
    """Moto's ended in 2015."""
    await ecr.own_password("us-east-1")
    assert all(kept.until < clock.monotonic() for kept in ecr._kept.values())


@pytest.mark.parametrize("role", ["arn:aws:iam::123456789012:role/ours", "nonsense"])
async def test_no_role_of_our_own_account_is_assumed(
    ecr: Ecr, asked: list[tuple[str, dict[str, Any]]], role: str
) -> None:
    """Whoever names it would act as the platform."""
    with pytest.raises(EcrRefused, match="own account"):
        await ecr.password_by_role(role, external_id="org_0a", region="us-east-1")
    assert "AssumeRole" not in [name for name, _ in asked]


async def test_repositories_are_made_once_and_removed_with_all_that_is_in_them(ecr: Ecr, moto: str) -> None:
    client = SESSION.client("ecr", endpoint_url=moto)
    for _ in range(2):
        await ecr.make_repository("us-east-1", "kovra/0a/web")
    (found,) = client.describe_repositories(repositoryNames=["kovra/0a/web"])["repositories"]
    assert (found["repositoryName"], found["imageTagMutability"]) == ("kovra/0a/web", "IMMUTABLE")
    for _ in range(2):
        await ecr.remove_repository("us-east-1", "kovra/0a/web")
    assert "kovra/0a/web" not in [found["repositoryName"] for found in client.describe_repositories()["repositories"]]
    with pytest.raises(EcrRefused) as refused:
        await ecr.make_repository("us-east-1", "Not A Name")
    assert refused.value.reason
    client.close()


async def test_an_aws_that_is_away_is_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        made = Ecr(endpoint_url=f"http://127.0.0.1:{closed.getsockname()[1]}", session=SESSION)
        with pytest.raises(EcrUnavailable):
            await made.own_password("us-east-1")
        made.close()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    nobody = Ecr(session=boto3.Session())
    with pytest.raises(EcrUnavailable, match="credentials"):
        await nobody.own_password("us-east-1")
    nobody.close()


@pytest.mark.parametrize(
    ("arn", "account"),
    [
        (ROLE, "210987654321"), ("arn:aws-cn:iam::210987654321:role/a/b", "210987654321"),
        ("arn:aws:iam::210987654321:user/x", None), ("arn:aws:iam::21098765432:role/x", None), (f"{ROLE}\n", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_account_of_a_role(arn: str, account: str | None) -> None:
    assert account_of(arn) == account
