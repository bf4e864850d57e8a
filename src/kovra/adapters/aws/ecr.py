"""Passwords of ECR registries: of the platform's own account, and of customers' by a role that they let us assume.

A password is good for twelve hours and for whatever its maker may do, so a customer's role is assumed with a session policy
that lets it pull and no more. The external id is the organization's own (the confused deputy: a role that trusts us for one
organization is of no use to another), and a role of our own account is never assumed for anybody.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from kovra.foundation import clock
from kovra.foundation.errors import Forbidden, Unavailable
from kovra.foundation.keyring.values import SecretValue
from kovra.foundation.observability import logger

T = TypeVar("T")
FRESH_S: Final = 5 * 3600.0
"""A password is given out for so long; whoever got the oldest one has seven hours more."""
_SLACK_S: Final = 2 * 3600.0
_KEPT: Final = 1000
_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):role/[\w+=,.@/-]{1,512}", re.ASCII)
_PULLS: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [
                    "ecr:GetAuthorizationToken",
                    "ecr:BatchGetImage",
                    "ecr:GetDownloadUrlForLayer",
                    "ecr:BatchCheckLayerAvailability",
                ],
                "Resource": "*",
            }
        ],
    }
)
_PASSING: Final = frozenset(
    {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "ServerException"}
)


class EcrUnavailable(Unavailable):
    """AWS does not answer, or asks to come back later."""

    code = "ecr_unavailable"


class EcrRefused(Forbidden):
    """AWS will not do it; the message says what, in our words."""

    code = "ecr_refused"

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        """AWS's own code."""


@dataclass(frozen=True, slots=True)
class EcrPassword:
    """A password for the registries of one account and region."""

    username: str
    password: SecretValue


@dataclass(frozen=True, slots=True)
class _Kept:
    found: EcrPassword
    until: float


def account_of(role_arn: str) -> str | None:
    """The account of a role; None: it is no role's ARN."""
    found = _ROLE.fullmatch(role_arn)
    return found[1] if found else None


class Ecr:
    """Asks STS and ECR, in threads of its own."""

    def __init__(
        self, *, endpoint_url: str | None = None, session: boto3.Session | None = None, deadline_s: float = 15.0
    ) -> None:
        self._endpoint = endpoint_url
        self._session = session
        self._deadline = deadline_s
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="ecr")
        self._kept: OrderedDict[tuple[str, ...], _Kept] = OrderedDict()
        self._own: str | None = None

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def password_by_role(self, role_arn: str, *, external_id: str, region: str) -> EcrPassword:
        """A password that may pull what a customer's role may, made as that role; made anew every five hours.

        Raises EcrRefused or EcrUnavailable.
        """
        key = (role_arn, external_id, region)
        return await self._fresh(key, lambda: self._by_role(role_arn, external_id, region))

    async def own_password(self, region: str) -> EcrPassword:
        """A password for the platform's own registry, as the role that this process has."""
        return await self._fresh(("", region), lambda: _password(self._client("ecr", region)))

    async def make_repository(self, region: str, name: str) -> None:
        """Make a repository whose tags never move; one that is there is left as it is."""

        def make() -> None:
            try:
                self._client("ecr", region).create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
            except ClientError as error:
                if _code(error) != "RepositoryAlreadyExistsException":
                    raise

        await self._call(make)

    async def remove_repository(self, region: str, name: str) -> None:
        """Remove a repository with all that is in it; one that is not there is fine."""

        def remove() -> None:
            try:
                self._client("ecr", region).delete_repository(repositoryName=name, force=True)
            except ClientError as error:
                if _code(error) != "RepositoryNotFoundException":
                    raise

        await self._call(remove)

    async def _fresh(self, key: tuple[str, ...], make: Callable[[], tuple[EcrPassword, datetime]]) -> EcrPassword:
        kept = self._kept.get(key)
        if kept is None or kept.until <= clock.monotonic():
            found, expires_at = await self._call(make)
            left = (expires_at - clock.now()).total_seconds() - _SLACK_S
            kept = _Kept(found, clock.monotonic() + min(FRESH_S, left))
            self._kept[key] = kept
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return kept.found

    def _by_role(self, role_arn: str, external_id: str, region: str) -> tuple[EcrPassword, datetime]:
        sts = self._client("sts", region)
        if self._own is None:
            self._own = str(sts.get_caller_identity()["Account"])
        if account_of(role_arn) in (None, self._own):
            # Whoever wrote it down would act as the platform.
            raise EcrRefused("The role must be one of the customer's own account.", reason="own_account")
        answer = sts.assume_role(
            RoleArn=role_arn,
            RoleSessionName=re.sub(r"[^\w+=,.@-]", "-", f"kovra-{external_id}")[:64],
            ExternalId=external_id,
            DurationSeconds=900,
            Policy=_PULLS,
        )["Credentials"]
        made = boto3.Session(
            aws_access_key_id=answer["AccessKeyId"],
            aws_secret_access_key=answer["SecretAccessKey"],
            aws_session_token=answer["SessionToken"],
        )
        return _password(self._client("ecr", region, made))

    def _client(self, service: str, region: str, session: boto3.Session | None = None) -> Any:
        if self._session is None:
            self._session = boto3.Session()
        return (session or self._session).client(
            service,
            region_name=region,
            endpoint_url=self._endpoint,
            config=Config(connect_timeout=5, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}),
        )

    async def _call(self, call: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._deadline):
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except TimeoutError:
            raise EcrUnavailable("AWS does not answer in time.", retry_after_s=5) from None
        except ClientError as error:
            raise _kind(error) from None
        except (NoCredentialsError, PartialCredentialsError):
            logger.error("aws_credentials_missing")
            raise EcrUnavailable("The platform has no AWS credentials.", retry_after_s=60) from None
        except BotoCoreError as error:
            raise EcrUnavailable(f"AWS cannot be reached ({type(error).__name__}).", retry_after_s=5) from None


def _password(ecr: Any) -> tuple[EcrPassword, datetime]:
    # Of the caller's account; it opens in every registry what its maker may open there.
    found = ecr.get_authorization_token()["authorizationData"][0]
    username, _, password = base64.b64decode(found["authorizationToken"]).decode().partition(":")
    return EcrPassword(username, SecretValue(password)), found["expiresAt"]


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _kind(error: ClientError) -> EcrUnavailable | EcrRefused:
    code, status = _code(error), int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _PASSING or status >= 500:
        return EcrUnavailable(f"AWS asks to come back later ({code}).", retry_after_s=10)
    return EcrRefused(f"AWS refuses ({code}).", reason=code)
