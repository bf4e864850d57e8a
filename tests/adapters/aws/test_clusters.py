"""Customers' EKS clusters, by moto: found as their role, with their external id, and never as Kovra's own."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from moto.server import ThreadedMotoServer

from kovra.adapters.aws.clusters import AwsRefused, AwsUnavailable, CustomersEks
from kovra.adapters.aws.roles import Role, assumed

OWN = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
ROLE = Role(arn="arn:aws:iam::210987654321:role/kovra", external_id="kovra-0123456789abcdef", region="us-east-1")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def clusters(moto: str) -> None:
    """Two in the customer's account, one of which encrypts Secrets."""
    theirs = assumed(ROLE, own=OWN, endpoint=moto).client("eks", endpoint_url=moto)
    common = {"roleArn": "arn:aws:iam::210987654321:role/eks", "resourcesVpcConfig": {"subnetIds": ["subnet-1"]}}
    theirs.create_cluster(name="plain", **common)
    key = {"provider": {"keyArn": "arn:aws:kms:us-east-1:210987654321:key/1"}, "resources": ["secrets"]}
    theirs.create_cluster(name="sealed", encryptionConfig=[key], **common)


@pytest.fixture
def eks(moto: str) -> Iterator[CustomersEks]:
    made = CustomersEks(own=OWN, endpoint=moto)
    yield made
    made.close()


async def test_a_cluster_is_found_as_the_customers_role(eks: CustomersEks, clusters: None) -> None:
    plain, sealed = await eks.describe(ROLE, "plain"), await eks.describe(ROLE, "sealed")
    assert plain.endpoint.startswith("https://")
    assert (plain.encrypts_secrets, sealed.encrypts_secrets) == (False, True)


async def test_a_token_is_signed_by_the_role_and_names_the_cluster(eks: CustomersEks, clusters: None) -> None:
    tokens = eks.tokens(ROLE, "plain")
    text = (await tokens.token()).removeprefix("k8s-aws-v1.")
    query = parse_qs(urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()).query)
    assert "x-k8s-aws-id" in query["X-Amz-SignedHeaders"][0]
    assert not query["X-Amz-Credential"][0].startswith("test/")
    assert query["X-Amz-Security-Token"]
    tokens.close()


async def test_a_cluster_that_is_not_there_is_a_refusal(eks: CustomersEks, clusters: None) -> None:
    with pytest.raises(AwsRefused) as refused:
        await eks.describe(ROLE, "nowhere")
    assert refused.value.error_code == "eks_cluster_unknown"


async def test_a_role_of_kovras_own_account_is_never_assumed(eks: CustomersEks, moto: str) -> None:
    """It may trust Kovra without an external id (the confused deputy)."""
    account = OWN.client("sts", endpoint_url=moto).get_caller_identity()["Account"]
    own = Role(arn=f"arn:aws:iam::{account}:role/kovra-worker", external_id="kovra-1", region="us-east-1")
    with pytest.raises(AwsRefused) as refused:
        await eks.describe(own, "plain")
    assert refused.value.error_code == "role_refused"


async def test_aws_that_is_away_is_told_apart_from_a_refusal() -> None:
    eks = CustomersEks(own=OWN, endpoint="http://127.0.0.1:9", deadline_s=20)
    with pytest.raises(AwsUnavailable):
        await eks.describe(ROLE, "plain")
    eks.close()
