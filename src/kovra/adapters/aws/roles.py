"""Roles of customers' accounts: assumed with the external id that Kovra made for them (STS AssumeRole).

The external id is what keeps one customer from naming another one's role: that role's trust policy asks for its own
(AWS: "the confused deputy problem").
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials, create_assume_role_refresher

_PATIENCE = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2, "mode": "standard"})
"""Of one call to AWS: whoever waits has a deadline of its own."""

_DESCRIBES: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "eks:DescribeCluster", "Resource": "*"}],
    }
)
"""Whatever else the role may do is left out. The cluster's tokens need no right: they say who somebody is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role in somebody's account."""

    arn: str
    external_id: str
    region: str

    @property
    def account(self) -> str:
        """The account it is of."""
        return self.arn.split(":")[4]


def assumed(role: Role, *, own: boto3.Session | None = None, endpoint: str | None = None) -> boto3.Session:
    """A session as the role, whose credentials are got when they are first needed and renewed before they end.

    ``own``: who assumes it; None: whatever this machine offers. Nothing is called here.
    """
    sts = client_of(own or boto3.Session(), "sts", role.region, endpoint=endpoint)
    parameters = {
        "RoleArn": role.arn,
        "ExternalId": role.external_id,
        "RoleSessionName": "kovra",
        "Policy": _DESCRIBES,
    }
    inner = botocore.session.get_session()
    refresh = create_assume_role_refresher(sts, parameters)
    inner._credentials = DeferredRefreshableCredentials(refresh, "sts-assume-role")
    return boto3.Session(botocore_session=inner, region_name=role.region)


def client_of(session: boto3.Session, service: str, region: str, *, endpoint: str | None = None) -> Any:
    """A client with deadlines; ``endpoint``: another address than AWS's own."""
    return session.client(service, region_name=region, endpoint_url=endpoint, config=_PATIENCE)
