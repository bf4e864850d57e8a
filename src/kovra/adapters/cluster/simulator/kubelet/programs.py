"""Programs: what runs in a container, by the image's name and the command; the test images' own program, simulated.

``/testapp`` does what it does in the test images (serve, crash, oom, hang, task, connect), which hold no other file: another absolute
path cannot be started there, as on any node. Other commands are not known: of a task
(a pod that is not restarted) they end well at once, but for ``exit N`` and ``sleep SECONDS``; else they serve.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from kovra.adapters.cluster.simulator.images import Image
from kovra.adapters.cluster.simulator.logs import Log

Object = dict[str, Any]
Mode = Literal["serve", "crash", "oom", "hang", "task", "connect", "command", "missing"]
SOON_S: Final = 0.3
_TESTAPP: Final = "/testapp"
_NOT_STARTED: Final = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    'unable to start container process: error during container init: exec: "{0}": stat {0}: no such file or directory'
)
NEVER: Final = float("inf")
_REFERENCE: Final = re.compile(r"\$\$\(|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a container ended."""

    code: int
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program with its arguments. Seconds are of the simulator's clock."""

    mode: Mode
    port: int = 8080
    listens_after_s: float = 0.05
    never_ready: bool = False
    drain_s: float = 0.0
    code: int = 0
    lines: int = 3
    lasts_s: float = NEVER
    words: tuple[str, ...] = ()
    only_testapp: bool = True
    """There is no other program in the image."""

    def begin(self, log: Log, pod: str) -> None:
        """What it writes at once."""
        if self.mode == "hang":
            log.write("hanging")
        elif self.mode == "oom":
            log.write("taking memory")
        elif self.mode == "crash":
            log.write("starting", "reading configuration", "fatal: cannot reach the database: connection refused")

    def end(self, log: Log) -> Exit:
        """It ends by itself, after ``lasts_s``."""
        match self.mode:
            case "oom":
                return Exit(code=137, reason="OOMKilled")
            case "missing":
                return Exit(code=128, reason="StartError", message=_NOT_STARTED.format(self.words[0]))
            case "task":
                log.write(*(f"line {n} of {self.lines}" for n in range(1, self.lines + 1)))
            case "command":
                log.write(
                    " ".join(self.words) + (f": exit {self.code}" if self.words[:1] in (("exit",), ("sleep",)) else "")
                )
        return Exit(code=self.code, reason="Completed" if self.code == 0 else "Error")

    def stops_in_s(self, ran_s: float) -> float:
        """How long it goes on after SIGTERM."""
        if self.mode == "hang":
            return NEVER
        return self.drain_s + 0.05 if self.mode == "serve" and ran_s >= self.listens_after_s else 0.0

    def terminated(self, ran_s: float) -> Exit:
        """It ends because it was told to."""
        good = self.mode == "serve" and ran_s >= self.listens_after_s
        return Exit(code=0, reason="Completed") if good else Exit(code=2, reason="Error")

    def get(self, path: str, port: int, ran_s: float, environment: Mapping[str, str]) -> int:
        """The status an HTTP GET gets; 0: nobody listens there."""
        if self.mode != "serve" or port != self.port or ran_s < self.listens_after_s:
            return 0
        if path == "/healthz" and self.never_ready:
            return 503
        if self.only_testapp and path.startswith("/env/"):
            return 200 if path.removeprefix("/env/") in environment else 404
        return 200


def program_of(image: Image, container: Object, environment: Mapping[str, str], *, is_task: bool) -> Program:
    """What a container of this image runs."""
    command, args = list(container.get("command") or []), list(container.get("args") or [])
    words = tuple(_expanded(str(word), environment) for word in [*command, *args])
    known = {**image.environment, **environment}
    if not command:
        return _testapp(tuple(args) if args and image.known else image.command, known, image)
    if words[0] == _TESTAPP:
        return _testapp(words[1:] or ("",), known, image)
    if image.known and words[0].startswith("/"):
        return Program(mode="missing", words=words, lasts_s=0.0)
    if words[0] in ("exit", "sleep") and len(words) > 1 and words[1].isdigit():
        number = min(int(words[1]), 10**6)
        if words[0] == "exit":
            return Program(mode="command", words=words, code=number % 256, lasts_s=SOON_S)
        return Program(mode="command", words=words, lasts_s=float(number))
    if is_task:
        return Program(mode="command", words=words, lasts_s=SOON_S)
    return _testapp(image.command, known, image)


def _expanded(word: str, environment: Mapping[str, str]) -> str:
    """``$(NAME)`` is the variable's value, where there is one; ``$$(`` is a plain ``$(``."""

    def value(found: re.Match[str]) -> str:
        return "$(" if found[0] == "$$(" else environment.get(found[1], found[0])

    return _REFERENCE.sub(value, word)


def _testapp(words: tuple[str, ...], environment: Mapping[str, str], image: Image) -> Program:
    numbers = [int(word) for word in words[1:3] if word.isdigit()]
    match words[0]:
        case "serve":
            return Program(
                mode="serve",
                port=int(_number(environment.get("PORT"), 8080)),
                listens_after_s=0.05 + _number(environment.get("START_DELAY"), 0),
                never_ready=environment.get("READY") == "never",
                drain_s=_number(environment.get("DRAIN"), 0),
                only_testapp=image.known,
            )
        case "crash":
            return Program(mode="crash", code=(numbers or [3])[0] % 256, lasts_s=0.1)
        case "oom":
            return Program(mode="oom", lasts_s=0.4)
        case "hang" | "pause":
            return Program(mode="hang" if words[0] == "hang" else "serve", port=0)
        case "connect":
            return Program(mode="connect", words=words[1:], lasts_s=SOON_S)
        case "task":
            lines, seconds = [*numbers, *(3, 0)[len(numbers) :]]
            return Program(mode="task", lines=min(lines, 1000), lasts_s=seconds + 0.1)
    return Program(mode="command", words=words, code=2, lasts_s=0.1)


def _number(text: str | None, otherwise: float) -> float:
    try:
        value = float(text) if text else otherwise
    except ValueError:
        return otherwise
    return value if 0 <= value <= 10**6 else otherwise
