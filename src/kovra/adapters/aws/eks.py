"""Bearer tokens for EKS clusters, made in process: a presigned STS GetCallerIdentity that names the cluster.

The recipe is the AWS CLI's (``aws eks get-token``): the cluster's name is a signed header, and the token is the URL in
unpadded base64url behind ``k8s-aws-v1.``. A token is good for fifteen minutes from its date, whatever its expiry says.
"""

from __future__ import annotations

import base64
from typing import Any, Final

import boto3
from botocore.signers import RequestSigner

from kovra.foundation import clock

_PREFIX: Final = "k8s-aws-v1."
_CACHED_S: Final = 600.0


class EksTokens:
    """A token source for one cluster."""

    def __init__(self, cluster: str, region: str, *, session: boto3.Session | None = None) -> None:
        self._cluster = cluster
        self._region = region
        self._session = session or boto3.Session()
        self._known: tuple[float, str] | None = None

    def token(self) -> str:
        """A token that is valid for some more minutes; asked on every request, made every ten minutes."""
        if self._known is None or self._known[0] <= clock.monotonic():
            self._known = (clock.monotonic() + _CACHED_S, self._sign())
        return self._known[1]

    def _sign(self) -> str:
        client = self._session.client("sts", region_name=self._region)
        signer = RequestSigner(
            client.meta.service_model.service_id,
            self._region,
            "sts",
            "v4",
            self._session.get_credentials(),
            self._session.events,
        )
        request: dict[str, Any] = {
            "method": "GET",
            "url": f"https://sts.{self._region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
            "body": {},
            "headers": {"x-k8s-aws-id": self._cluster},
            "context": {},
        }
        url = signer.generate_presigned_url(request, region_name=self._region, expires_in=60, operation_name="")
        return _PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
