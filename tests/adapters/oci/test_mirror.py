"""Whose the repositories of the mirror are, and that no reference of a tenant reaches into it."""

from __future__ import annotations

import pytest

from kovra.adapters.oci.mirror import EcrHost, MirrorPlace, ecr_host
from kovra.adapters.oci.reference import ReferenceInvalid, parse

OURS = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
PLACE = MirrorPlace(registry=OURS, prefix="kovra")
REST = "kovra/0123/web:1"


@pytest.mark.parametrize(
    "host",
    [
        OURS, OURS.upper(), f"{OURS}:443", "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", "123456789012.dkr-ecr.us-east-1.on.aws",
        "123456789012.dkr-ecr-fips.us-east-1.on.aws", "123456789012.DKR.ecr.us-east-1.amazonaws.com:443",
        "vpce-0a1b-2c3d.dkr.ecr.us-east-1.vpce.amazonaws.com", "dkr.ecr.us-east-1.amazonaws.com",
        "vpce-0a1b-2c3d-us-east-1a.dkr.ecr.us-east-1.vpce.amazonaws.com", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
    ],
)  # fmt: skip
def test_every_spelling_of_our_registry_is_closed(host: str) -> None:
    """T142: twelve of them; those that no client would take are no references at all."""
    assert PLACE.is_reserved(parse(f"{host}/{REST}"))
    assert PLACE.is_reserved(parse(f"{host}/platform/base@sha256:{'0' * 64}"))


@pytest.mark.parametrize("text", [f"{OURS}./{REST}", f"{OURS}/../{REST}", f"{OURS}//{REST}", f"{OURS}/Kovra/x:1"])
def test_what_would_be_another_spelling_is_no_reference(text: str) -> None:
    """T142."""
    with pytest.raises(ReferenceInvalid):
        parse(text)


@pytest.mark.parametrize(
    "host",
    [
        "210987654321.dkr.ecr.us-east-1.amazonaws.com", "ghcr.io", "docker.io", f"{OURS}.example.com",
        "123456789012.dkr.ecr.us-east-1.example.com", "public.ecr.aws",
    ],
)  # fmt: skip
def test_other_registries_are_not(host: str) -> None:
    assert not PLACE.is_reserved(parse(f"{host}/{REST}"))


def test_of_a_registry_that_holds_more_the_operators_open_some_parts() -> None:
    place = MirrorPlace(registry="registry.test", prefix="mirror/a", open=frozenset({"kovra", "mirror"}))
    assert not place.is_reserved(parse("registry.test/kovra/ok:1"))
    assert place.is_reserved(parse("registry.test/other/ok:1"))
    assert place.is_reserved(parse("registry.test/mirror/a/x:1")), "never its own"
    assert place.home("org", "app") == "mirror/a/org/app"


@pytest.mark.parametrize(
    ("host", "found"),
    [
        (OURS, EcrHost("123456789012", "us-east-1")), ("ghcr.io", None), (f"{OURS}x", None),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.test", None),
    ],
)  # fmt: skip
def test_an_ecr_registry_says_its_account_and_region(host: str, found: EcrHost | None) -> None:
    assert ecr_host(host) == found
