"""Bearer tokens for EKS clusters, made in process: a presigned STS GetCallerIdentity that names the cluster.

The recipe is the AWS CLI's (``aws eks get-token``): the cluster's name is a signed header, and the token is the URL in
unpadded base64url behind ``k8s-aws-v1.``. A token is good for fifteen minutes from its date, whatever its expiry says.
"""

from __future__ import annotations

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import ServiceId
from botocore.signers import RequestSigner

from kovra.foundation import clock
from kovra.foundation.errors import Unavailable
from kovra.foundation.observability import logger

_PREFIX: Final = "k8s-aws-v1."
_FRESH_S: Final = 600.0
_GOOD_S: Final = 840.0
"""Within its fifteen minutes, with one to spare for clocks that differ."""


class EksTokenUnavailable(Unavailable):
    """No token can be made: AWS gives no credentials, or does not answer."""

    code = "eks_token_unavailable"


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    made_at: float

    @property
    def age_s(self) -> float:
        return clock.monotonic() - self.made_at


class EksTokens:
    """A token source for one cluster.

    Signing needs no network, but credentials may (the pod's role, instance metadata): it happens in a thread of its own.
    """

    def __init__(
        self, cluster: str, region: str, *, session: boto3.Session | None = None, deadline_s: float = 10.0
    ) -> None:
        self._cluster = cluster
        self._region = region
        self._session = session
        self._deadline = deadline_s
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="eks")
        self._turn = asyncio.Lock()
        self._known: _Token | None = None

    def close(self) -> None:
        """Let go of the thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def token(self) -> str:
        """A token that is valid for some more minutes; asked on every request, made every ten minutes.

        While a new one cannot be made, the last one serves as long as it is good; then EksTokenUnavailable is raised.
        """
        if self._known is None or self._known.age_s >= _FRESH_S:
            async with self._turn:  # one maker, whatever the number of requests
                if self._known is None or self._known.age_s >= _FRESH_S:
                    self._known = await self._renewed(self._known)
        return self._known.text

    async def _renewed(self, last: _Token | None) -> _Token:
        made_at = clock.monotonic()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._deadline):
                return _Token(await loop.run_in_executor(self._threads, self._sign), made_at)
        except (EksTokenUnavailable, TimeoutError, OSError) as failed:
            logger.warning("eks_token_not_renewed", cluster=self._cluster, error=type(failed).__name__)
            if last is not None and last.age_s < _GOOD_S:
                return last
            raise EksTokenUnavailable("AWS gives no token for the cluster.", retry_after_s=5) from None

    def _sign(self) -> str:
        try:
            return self._signed()
        except (BotoCoreError, ClientError) as failed:
            raise EksTokenUnavailable(f"AWS gives no credentials ({type(failed).__name__}).") from None

    def _signed(self) -> str:
        if self._session is None:
            self._session = boto3.Session()
        credentials = self._session.get_credentials()
        if credentials is None:
            raise EksTokenUnavailable("There are no AWS credentials.")
        signer = RequestSigner(ServiceId("STS"), self._region, "sts", "v4", credentials, self._session.events)
        request: dict[str, Any] = {
            "method": "GET",
            "url": f"https://sts.{self._region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
            "body": {},
            "headers": {"x-k8s-aws-id": self._cluster},
            "context": {},
        }
        url = signer.generate_presigned_url(request, region_name=self._region, expires_in=60, operation_name="")
        return _PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
