"""What people should know before they apply; one table, which the docs page is made of."""

from __future__ import annotations

from typing import Any, Final

WARNINGS: Final[dict[str, str]] = {
    "secret_missing": "A secret that is needed here has no value yet: until it has one, this app is not deployed.",
    "restart": "Its instances are replaced, one after the other.",
    "downtime": "It does not answer any more, or not until the deployment is live.",
    "deleted_everywhere": "The app is deleted, in every environment of the project; it can be restored for seven days.",
    "nothing_live": "Nothing has been live here yet, and this changes nothing: `kovra deploy` makes it live.",
    "no_image": "There is no image to deploy: give the app one.",
    "suspended": "It is suspended: what is deployed runs once it is resumed.",
    "kept": "It is there and the file does not name it. It stays; with prune it goes.",
    "quota_exceeded": "With the instances that a rollout adds it is more than the environment may use.",
    "objects_unknown": "The cluster did not answer, so what it would make of this is not known.",
    "refused": "The cluster refuses this object as it is: a deployment would fail.",
}


def warning(code: str, app: str | None = None, about: str | None = None) -> dict[str, Any]:
    """One warning; ``about`` names what it is about within the app."""
    return {"code": code, "app": app, "about": about, "message": WARNINGS[code]}
