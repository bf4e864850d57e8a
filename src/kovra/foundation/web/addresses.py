"""Where apps answer: one setting, used by answers and manifests alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAddresses:
    """``https://<label>.<apps domain>``; a port only where it is not the scheme's own."""

    domain: str
    scheme: str
    port: int | None = None
    shares: bool = False
    """Whether a route can lead to two releases, each with a share."""
    has_page: bool = False
    """Whether there is a page for apps in maintenance."""

    def host(self, label: str) -> str:
        """The host name."""
        return f"{label}.{self.domain}"

    def url(self, label: str, domain: str | None = None) -> str:
        """The address people open; ``domain``: of a customer's own cluster, which answers at https."""
        if domain is not None:
            return f"https://{label}.{domain}"
        return f"{self.scheme}://{self.host(label)}" + (f":{self.port}" if self.port else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicAddress:
    """How people reach the api; never taken from a request."""

    url: str

    def socket(self, path: str) -> str:
        """``wss://…`` of one of its WebSockets."""
        return "ws" + self.url.removeprefix("http").rstrip("/") + path
