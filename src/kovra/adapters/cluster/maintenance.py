"""What answers at an app's address while it is in maintenance: one page for all apps, which names none."""

from __future__ import annotations

from typing import Final

RETRY_AFTER_S: Final = 120
"""When clients are told to come back (RFC 9110, section 10.2.3); nobody knows how long it lasts."""
HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Retry-After": str(RETRY_AFTER_S),
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
PAGE: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<title>Maintenance</title><style>body{font:16px system-ui;max-width:34rem;margin:20vh auto;padding:0 1rem}</style>"
    "<h1>Down for maintenance</h1><p>This page is being worked on and will be back soon.</p></html>\n"
)
