"""Type → instance: what the wiring made, found by endpoints and job handlers the same way."""

from __future__ import annotations

from typing import TypeVar, cast

T = TypeVar("T")


class Registry:
    """Holds at most one instance per type; filled by the composition root, read-only afterwards."""

    def __init__(self) -> None:
        self._instances: dict[type, object] = {}

    def add(self, kind: type[T], instance: T) -> T:
        """Register the instance; a second one for the same type is a wiring error."""
        if kind in self._instances:
            raise RuntimeError(f"{kind.__name__} is registered twice")
        self._instances[kind] = instance
        return instance

    def over(self, kind: type[T], instance: T) -> Registry:
        """Another registry, in which this instance stands for its type; all else is as here."""
        made = Registry()
        made._instances = {**self._instances, kind: instance}
        return made

    def get(self, kind: type[T]) -> T:
        """The instance; raises LookupError when the process was wired without it."""
        try:
            return cast("T", self._instances[kind])
        except KeyError:
            raise LookupError(f"this process was wired without {kind.__name__}") from None

    def find(self, kind: type[T]) -> T | None:
        """The instance, or None where a process may run without it."""
        return cast("T | None", self._instances.get(kind))
