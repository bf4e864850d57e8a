"""One app that is deployed again and again, well and badly, and what must be true after each verdict."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.watching import Person

from bench.soaking import oracle
from bench.soaking.oracle import FAILING, GOOD, LIVE, SKIPPED, SUPERSEDED, TAKEN, WrongVerdict, check
from kovra.adapters.cluster.client import ClusterClient

_SERVES_S: Final = 120.0
"""Within so long what should serve is there, also after a node was drained."""
_TAKEN_S: Final = 120.0
"""So long after pods were taken away, their lines may be missing."""
_WEIGHTS: Final = {
    "good": 8, "crash:1": 2, "oom:1": 1, "never-ready:1": 1, "missing:1": 2, "release_command": 1, "rollback": 3,
    "restart": 2, "scale": 2, "config": 2, "together": 2, "cancel": 2, "suspend": 1,
}  # fmt: skip


@dataclass
class Tally:
    """What has been done, over all apps."""

    verdicts: Counter[str] = field(default_factory=Counter)
    slowest_s: dict[str, float] = field(default_factory=dict)
    pods_taken_at: float = 0.0
    """When pods were last taken away by somebody else."""
    without_lines: int = 0

    def add(self, found: dict[str, Any], took_s: float) -> None:
        """One more verdict."""
        name = found["outcome"] + (f" ({found['reason']['code']})" if found["reason"] else "")
        self.verdicts[name] += 1
        self.slowest_s[name] = max(self.slowest_s.get(name, 0.0), took_s)


class Driven:
    """An app with what is known of it."""

    def __init__(self, person: Person, admin: ClusterClient, tally: Tally, chance: random.Random) -> None:
        self._person, self._admin, self._tally, self._chance = person, admin, tally, chance
        self.namespace = self.path = self.app = self.environment = ""
        self.serves: dict[str, Any] | None = None
        """The release that must serve."""
        self._good: list[int] = []
        """Numbers of releases that went live once."""
        self.instances = 1
        self._changed = False
        """Config has been changed since the last release."""

    async def make(self, project: str, name: str) -> None:
        """The app, in its project's first environment."""
        processes = {"web": {"port": 8080, "checks": {"readiness": {"path": "/healthz", "period_s": 1}}}}
        body = {"project": project, "name": name, "processes": processes}
        self.app = (await self._person.call("POST", "/v1/apps", body))["id"]
        (pair,) = (await self._person.call("GET", f"/v1/app-environments?app={self.app}"))["data"]
        self.path, self.environment = f"/v1/app-environments/{pair['id']}", pair["environment_id"]
        self.namespace = f"kv-{self.environment.removeprefix('env_')}"
        # A short window, and nothing may ever be rolled back by itself: what goes live here is good.
        await self._person.call("PATCH", self.path, {"watch_window_s": 20, "auto_rollback": True})

    async def drive(self, until: float) -> None:
        """Until then, one thing after the other."""
        await self._deploy_good()
        while time.monotonic() < until:
            (what,) = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
            await self._do(what)
            await self._as_it_should_be()

    async def _do(self, what: str) -> None:
        match what:
            case "good":
                await self._deploy_good()
            case "release_command":
                await self._release_command_fails()
            case "rollback":
                number = self._chance.choice(self._good)
                await self._live(await self._act("rollback", {"release": number}))
            case "restart":
                await self._live(await self._act("restart"))
            case "scale":
                self.instances = self._chance.choice([n for n in (1, 2, 3) if n != self.instances])
                await self._live(await self._act("scale", {"scale": {"web": self.instances}}))
            case "suspend":
                check(await self._ended(await self._act("suspend")), LIVE)
                await self._live(await self._act("resume"))
            case "config":
                changed = {"vars": {"LEVEL": secrets.token_hex(4)}}
                await self._person.call("PATCH", f"{self.path}/config", changed)
                await self._person.call("PATCH", f"{self.path}/secrets", {"secrets": {"KEY": secrets.token_hex(8)}})
                self._changed = True
                await self._deploy_good()
            case "together":
                await self._together()
            case "cancel":
                await self._cancel()
            case _:
                await self._fails(await self._deploy(what), FAILING[what])

    async def _deploy(self, image: str) -> dict[str, Any]:
        body = {"environment": "production", "image": f"registry.test/kovra/{image}"}
        found: dict[str, Any] = await self._person.call("POST", f"/v1/apps/{self.app}/deployments", body)
        return found

    async def _act(self, action: str, body: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = await self._person.call("POST", f"{self.path}/actions/{action}", body)
        return found

    async def _ended(self, started: dict[str, Any]) -> dict[str, Any]:
        began = time.monotonic()
        while time.monotonic() - began < 900:
            now: dict[str, Any] = await self._person.call(
                "GET", f"/v1/deployments/{started['id']}?wait=20&until=terminal"
            )
            if now["outcome"]:
                self._tally.add(now, time.monotonic() - began)
                return now
        raise WrongVerdict(f"no verdict: {now}")

    async def _deploy_good(self) -> None:
        await self._live(await self._deploy(self._chance.choice(GOOD)))

    async def _live(self, started: dict[str, Any]) -> None:
        found = await self._ended(started)
        check(found, LIVE, *([SKIPPED] if self._would_change_nothing(found) else []))
        if found["outcome"] == "live":
            self._now_serves(found)

    def _would_change_nothing(self, found: dict[str, Any]) -> bool:
        same = self.serves is not None and found["source"].get("image") == self.serves["image"]
        return same and not self._changed

    def _now_serves(self, found: dict[str, Any]) -> None:
        self.serves, self._changed = found["release"], False
        self._good = sorted({*self._good, found["release"]["number"]})

    async def _fails(self, started: dict[str, Any], legal: oracle.Legal) -> None:
        found = await self._ended(started)
        # What was taken away has crashed less often, and may have no time left to crash again.
        check(found, legal, *([TAKEN] if self._pods_were_taken() and legal.phases == TAKEN.phases else []))
        if legal.lines and len(found["reason"]["evidence"]) < 2:
            self._tally.without_lines += 1
            if not self._pods_were_taken():
                raise WrongVerdict(f"no last lines: {found}")
        # What was begun in the cluster was put right; what never came so far has changed nothing.
        restored = self.serves["id"] if self.serves and found["reason"]["phase"] == "verifying" else None
        if found["restored_release"] != restored:
            raise WrongVerdict(f"restored {found['restored_release']}, not {restored}: {found}")

    def _pods_were_taken(self) -> bool:
        return time.monotonic() - self._tally.pods_taken_at < _TAKEN_S

    async def _release_command_fails(self) -> None:
        app = f"/v1/apps/{self.app}"
        await self._person.call("PATCH", app, {"release_command": ["/testapp", "crash"]})
        await self._fails(await self._deploy("ok:1"), oracle.REFUSED_COMMAND)
        await self._person.call("PATCH", app, {"release_command": None})

    async def _together(self) -> None:
        """Three at once: what waits makes way for what comes later, and the last one serves."""
        started = [await self._deploy(image) for image in ("ok:1", "ok:2", "drain:1")]
        for one in started:
            found = await self._ended(one)
            # Whether an earlier one had begun when the next came is the worker's speed.
            earlier = [] if one is started[-1] else [SUPERSEDED]
            check(found, LIVE, *earlier, *([SKIPPED] if self._would_change_nothing(found) else []))
            if found["outcome"] == "live":
                self._now_serves(found)

    async def _cancel(self) -> None:
        """At any moment of a rollout; a verdict may be faster."""
        started = await self._deploy("slow:1")
        await asyncio.sleep(self._chance.uniform(0, 8))
        await self._person.call("POST", f"/v1/deployments/{started['id']}/actions/cancel")
        found = await self._ended(started)
        check(found, oracle.CANCELED, LIVE, *([SKIPPED] if self._would_change_nothing(found) else []))
        if found["outcome"] == "live":
            self._now_serves(found)

    async def _as_it_should_be(self) -> None:
        """The API and the cluster say that what must serve serves, with its instances, and nothing else."""
        assert self.serves is not None
        now = await self._person.call("GET", self.path)
        if now["current_release"]["id"] != self.serves["id"] or now["health"] not in ("watching", "stable"):
            raise WrongVerdict(f"not as it should be: {now}; must serve: {self.serves}")
        if now["auto_deploy_paused"] and await self._rolled_back_by_itself():
            raise WrongVerdict(f"a good release was rolled back: {now}")
        began = time.monotonic()
        while (wrong := await self._wrong_in_cluster()) is not None:
            if time.monotonic() - began > _SERVES_S:
                raise WrongVerdict(f"{self.path} must serve {self.serves}: {wrong}")
            await asyncio.sleep(1)

    async def _rolled_back_by_itself(self) -> bool:
        page = await self._person.call("GET", f"/v1/deployments?app={self.app}&limit=5")
        return any(one["trigger"] == "auto_rollback" for one in page["data"])

    async def _wrong_in_cluster(self) -> str | None:
        assert self.serves is not None
        labels = f"kovra.io/app-environment={self.path.rsplit('aev_', 1)[1]}"
        try:
            (found,) = (await self._admin.list("apps/v1", "Deployment", self.namespace, labels=labels))["items"]
        except Exception as error:  # the API server is being ended again and again
            return repr(error)
        template, status = found["spec"]["template"], found.get("status") or {}
        seen = (
            template["metadata"]["labels"]["kovra.io/release"],
            template["spec"]["containers"][0]["image"].rsplit("@")[-1],
            found["spec"]["replicas"],
            status.get("availableReplicas"),
            status.get("replicas"),
        )
        wanted = (str(self.serves["number"]), self.serves["digest"], *[self.instances] * 3)
        return None if seen == wanted else f"{seen} is not {wanted}"
