"""EKS clusters of customers, as the role they let Kovra assume sees them."""

from __future__ import annotations

import asyncio
import base64
import binascii
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from kovra.adapters.aws.eks import EksTokens
from kovra.adapters.aws.roles import Role, assumed, client_of
from kovra.foundation.errors import Invalid, Unavailable

_THREADS = 4
"""boto3 blocks: so many customers' accounts are asked at once, and no other thread waits for them."""


class AwsUnavailable(Unavailable):
    """AWS does not answer, or this installation has no credentials for it."""

    code = "aws_unavailable"


class AwsRefused(Invalid):
    """AWS refuses: the role may not be assumed, or may not see the cluster."""

    code = "aws_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What describe-cluster tells."""

    endpoint: str
    authority: str
    """PEM."""
    encrypts_secrets: bool
    """With a KMS key of the customer's."""
    version: str
    status: str


class CustomersEks:
    """Asks AWS about customers' clusters; one per process, with threads of its own."""

    def __init__(
        self, *, own: boto3.Session | None = None, endpoint: str | None = None, deadline_s: float = 15.0
    ) -> None:
        self._own, self._endpoint, self._deadline = own, endpoint, deadline_s
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="customers-eks")
        self._account: str | None = None

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def describe(self, role: Role, cluster: str) -> Found:
        """Where the cluster is; raises AwsRefused or AwsUnavailable."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._deadline):
                return await loop.run_in_executor(self._threads, self._described, role, cluster)
        except TimeoutError:
            raise AwsUnavailable("AWS does not answer.") from None

    def tokens(self, role: Role, cluster: str) -> EksTokens:
        """A source of the cluster's tokens, to be closed."""
        session = assumed(role, own=self._own, endpoint=self._endpoint)
        return EksTokens(cluster, role.region, session=session, deadline_s=self._deadline)

    def _refuse_own(self, role: Role) -> None:
        """A role of Kovra's own account may trust Kovra without an external id: whoever named it would act as Kovra."""
        if self._account is None:
            sts = client_of(self._own or boto3.Session(), "sts", role.region, endpoint=self._endpoint)
            self._account = str(sts.get_caller_identity()["Account"])
        if role.account == self._account:
            raise AwsRefused("The role must be one of the customer's own account.", code="role_refused")

    def _described(self, role: Role, cluster: str) -> Found:
        try:
            self._refuse_own(role)
            session = assumed(role, own=self._own, endpoint=self._endpoint)
            eks = client_of(session, "eks", role.region, endpoint=self._endpoint)
            return _found(eks.describe_cluster(name=cluster)["cluster"])
        except ClientError as refused:
            raise _translated(refused) from None
        except (BotoCoreError, KeyError, TypeError, ValueError, binascii.Error):
            raise AwsUnavailable("AWS does not answer.") from None


def _found(told: dict[str, Any]) -> Found:
    if told["status"] not in ("ACTIVE", "UPDATING"):
        raise AwsUnavailable("The cluster is not active.")
    encrypted = [resource for config in told.get("encryptionConfig") or [] for resource in config.get("resources", [])]
    return Found(
        endpoint=str(told["endpoint"]),
        authority=base64.b64decode(told["certificateAuthority"]["data"], validate=True).decode("utf-8", "replace"),
        encrypts_secrets="secrets" in encrypted,
        version=str(told.get("version", "")),
        status=str(told["status"]),
    )


def _translated(refused: ClientError) -> AwsRefused | AwsUnavailable:
    code = str(refused.response.get("Error", {}).get("Code", ""))
    if code in ("AccessDenied", "AccessDeniedException"):
        return AwsRefused(
            "AWS refuses: the role cannot be assumed with this external id, or may not see the cluster.",
            code="role_refused",
        )
    if code == "ResourceNotFoundException":
        return AwsRefused("The account has no such cluster in this region.", code="eks_cluster_unknown")
    if code in ("ValidationError", "InvalidParameterException", "ClientException"):
        return AwsRefused("AWS does not accept the role or the name of the cluster.", code="aws_refused")
    return AwsUnavailable("AWS does not answer.")
