"""Master keys wrapped by AWS KMS: the keyring document holds ciphertexts, and KMS opens them when a process starts.

The encryption context names environment, set and version, so a blob moved to another entry does not open, and a key
policy can let the api open the ``edge`` set alone (``kms:EncryptionContext:kovra:set``). There is no fallback: where KMS
does not answer, the process does not start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from kovra.foundation import clock
from kovra.foundation.errors import Unavailable
from kovra.foundation.keyring.documents import from_document
from kovra.foundation.keyring.masters import KeyBroken, MasterKey, MasterSet

T = TypeVar("T")

_PASSING: Final = frozenset(
    {
        "DependencyTimeoutException",
        "KMSInternalException",
        "KeyUnavailableException",
        "LimitExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
    }
)
"""Error codes of the KMS API that say: later."""


class KmsUnavailable(Unavailable):
    """KMS did not answer in time, or asked to come back later."""

    code = "kms_unavailable"


class KmsRefused(KeyBroken):
    """KMS will not do it: access denied, wrong context, another key, a key that is disabled or gone."""

    code = "kms_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsOptions:
    """Which key wraps, and how long to wait for it."""

    key_id: str
    """ARN, id or alias of a symmetric key; a blob under another key is refused."""
    region: str
    environment: str
    """Part of the encryption context: keys of one installation do not open in another. Comes from settings, never from
    the document it protects."""
    endpoint_url: str | None = None
    """Another address than AWS's public one, such as a VPC endpoint."""
    timeout_s: float = 5.0
    """For connecting, and for each answer."""
    attempts: int = 4
    """Of one call, with growing waits between; only what may pass by itself is tried again."""
    deadline_s: float = 30.0
    """For all keys together."""


class Kms:
    """Wraps and unwraps the bytes of master keys. Blocks; calls run in threads of its own so that a deadline holds."""

    def __init__(self, options: KmsOptions, *, session: boto3.Session | None = None) -> None:
        self._options = options
        self._ends = clock.monotonic() + options.deadline_s
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="kms")
        self._client = (session or boto3.Session()).client(
            "kms",
            region_name=options.region,
            endpoint_url=options.endpoint_url,
            config=Config(
                connect_timeout=options.timeout_s,
                read_timeout=options.timeout_s,
                retries={"mode": "standard", "total_max_attempts": options.attempts},
            ),
        )

    def wrap(self, group: MasterSet, version: int, raw: bytes) -> bytes:
        """The ciphertext of one key's bytes."""
        answer = self._call(
            lambda: self._client.encrypt(
                KeyId=self._options.key_id, Plaintext=raw, EncryptionContext=self._context(group, version)
            )
        )
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, group: MasterSet, version: int, raw: bytes) -> bytes:
        """The bytes of one key; raises KmsRefused for a ciphertext of another entry, environment or KMS key."""
        answer = self._call(
            lambda: self._client.decrypt(
                KeyId=self._options.key_id, CiphertextBlob=raw, EncryptionContext=self._context(group, version)
            )
        )
        return bytes(answer["Plaintext"])

    def close(self) -> None:
        """Let go of threads and connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _context(self, group: MasterSet, version: int) -> dict[str, str]:
        return {
            "kovra:environment": self._options.environment,
            "kovra:set": group.value,
            "kovra:version": str(version),
        }

    def _call(self, call: Callable[[], T]) -> T:
        try:
            return self._threads.submit(call).result(timeout=max(0.0, self._ends - clock.monotonic()))
        except TimeoutError:
            raise KmsUnavailable("KMS did not answer in time.") from None
        except ClientError as error:
            raise _kind(error) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise KmsRefused("There are no AWS credentials to ask KMS with.") from None
        except BotoCoreError as error:
            raise KmsUnavailable(f"KMS cannot be reached ({type(error).__name__}).") from None


def _kind(error: ClientError) -> KmsUnavailable | KmsRefused:
    code = str(error.response.get("Error", {}).get("Code", "unknown"))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _PASSING or status >= 500:
        return KmsUnavailable(f"KMS asks to come back later ({code}).")
    return KmsRefused(f"KMS refused to open or wrap a master key ({code}).")


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsSource:
    """Master keys from a wrapped keyring document."""

    document: Mapping[str, Any] = field(repr=False)
    options: KmsOptions
    session: boto3.Session | None = field(default=None, repr=False)

    def load(self) -> list[MasterKey]:
        """Unwrap every version; raises KmsUnavailable or KmsRefused."""
        kms = Kms(self.options, session=self.session)
        try:
            return from_document(self.document, unwrap=kms.unwrap)
        finally:
            kms.close()
