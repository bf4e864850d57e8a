"""security.txt as RFC 9116 wants it, with the contact of the one setting."""

from __future__ import annotations

from datetime import datetime, timedelta

from kovra.foundation import clock
from tests.support.product import Product


async def test_security_txt_names_the_contact_and_does_not_outlive_a_year(product: Product) -> None:
    answer = await product.nobody().send("GET", "/.well-known/security.txt")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    fields = [line.split(": ", 1) for line in answer.text.splitlines()]
    named = dict(fields)
    assert len(named) == len(fields)
    assert named["Contact"] == f"mailto:{product.settings.security_contact}"
    assert named["Canonical"] == f"{product.settings.public_url}/.well-known/security.txt"
    expires = datetime.fromisoformat(named["Expires"])
    assert timedelta(days=30) < expires - clock.now() < timedelta(days=365)
