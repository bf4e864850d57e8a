"""What the routes of this feature have in common: filters, embedded parents, changes, addresses."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from kovra.features.projects.plans import Plans
from kovra.features.projects.rules import ImageRules
from kovra.foundation.web.addresses import AppAddresses
from kovra.foundation.web.fields import Reference
from kovra.foundation.web.sessions import wired

Addresses = Annotated[AppAddresses, wired(AppAddresses)]
PlansInForce = Annotated[Plans, wired(Plans)]
Images = Annotated[ImageRules, wired(ImageRules)]
ProjectFilter = Annotated[Reference | None, Query(description="Project id or slug.", examples=["shop"])]
AppFilter = Annotated[Reference | None, Query(description="App id or slug.", examples=["web"])]
EnvironmentFilter = Annotated[Reference | None, Query(description="Environment id or slug.", examples=["production"])]
SlugFilter = Annotated[Reference | None, Query(description="Only the one with this slug.", examples=["shop"])]
Cascade = Annotated[Reference | None, Query(description="The slug, to delete what is inside too.", examples=["shop"])]


def located(response: Response, path: str) -> None:
    """Say where the new object is."""
    response.headers["Location"] = path
