"""Shapes of volumes. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, TypedDict


class ListOfVolumeOut(TypedDict):
    """ListOfVolumeOut."""

    data: list[VolumeOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class VolumeOut(TypedDict):
    """A disk that outlives instances and releases."""

    id: str
    """Its id, for ever."""
    object: Literal["volume"]
    """What kind of object this is."""
    app_environment_id: str
    """The app environment it belongs to."""
    process: str
    """A process of the app."""
    name: str
    """For people to read."""
    size_gib: int
    """The most it was ever asked to be."""
    state: Literal["attached", "detached", "removing"]
    """Whether what serves mounts it; a detached one keeps what is in it."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""
