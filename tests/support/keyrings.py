"""A system keyring for tests: a backend as other programs bring them, that keeps its entries in one file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import keyring.errors
from keyring.backend import KeyringBackend
from keyring.compat import properties


class FileKeyring(KeyringBackend):
    """Entries in the file that TEST_KEYRING_FILE names; a file of ``locked`` refuses everything."""

    @properties.classproperty
    def priority(cls) -> float:  # noqa: N805  # a property of the class
        """Of no use to tests that name no file: every backend that is imported offers itself."""
        if "TEST_KEYRING_FILE" not in os.environ:
            raise RuntimeError("no file is named")
        return 1.0

    @property
    def file(self) -> Path:
        return Path(os.environ["TEST_KEYRING_FILE"])

    def _entries(self) -> dict[str, str]:
        text = self.file.read_text() if self.file.exists() else "{}"
        if text == "locked":
            raise keyring.errors.KeyringLocked("locked")
        found: dict[str, str] = json.loads(text)
        return found

    def get_password(self, service: str, username: str) -> str | None:
        return self._entries().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self.file.write_text(json.dumps({**self._entries(), f"{service}/{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        entries = self._entries()
        if entries.pop(f"{service}/{username}", None) is None:
            raise keyring.errors.PasswordDeleteError("not there")
        self.file.write_text(json.dumps(entries))
