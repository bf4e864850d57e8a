"""Questions about oneself, which the simulator answers as an API server answers its administrator; and lists of classes,
of which it has none.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from kovra.adapters.cluster.simulator.requests import body_of

_REVIEWS: Final = {
    ("authorization.k8s.io", "selfsubjectaccessreviews"): "SelfSubjectAccessReview",
    ("authentication.k8s.io", "selfsubjectreviews"): "SelfSubjectReview",
}
_CLASSES: Final = {
    ("gateway.networking.k8s.io", "gatewayclasses"): "GatewayClass",
    ("networking.k8s.io", "ingressclasses"): "IngressClass",
}
_USER: Final = "kovra-simulated"


async def review(request: web.Request, group: str, rest: list[str]) -> web.Response | None:
    """The answer; None where something else was asked."""
    if len(rest) != 2 or rest[0] != "v1":
        return None
    asked = (group, rest[1])
    if request.method == "GET" and asked in _CLASSES:
        return web.json_response(
            {"kind": f"{_CLASSES[asked]}List", "apiVersion": f"{group}/v1", "metadata": {}, "items": []}
        )
    if request.method != "POST" or asked not in _REVIEWS:
        return None
    document = await body_of(request)
    status = {"userInfo": {"username": _USER, "groups": ["system:authenticated"]}}
    kind = _REVIEWS[asked]
    answer = {"kind": kind, "apiVersion": f"{group}/v1", "metadata": {}, "spec": document.get("spec") or {}}
    return web.json_response(answer | {"status": {"allowed": True} if "Access" in kind else status}, status=201)
