"""The autoscaler: as many replicas as keep the average use near what is wanted, within bounds; fewer only after a while."""

from __future__ import annotations

import copy
import math
from typing import Final

from kovra.adapters.cluster.simulator.controllers.context import Context, condition, is_ready
from kovra.adapters.cluster.simulator.kinds import BY_KIND
from kovra.adapters.cluster.simulator.selectors import selected
from kovra.adapters.cluster.simulator.store import Object
from kovra.adapters.cluster.simulator.usage import shares
from kovra.adapters.cluster.simulator.writer import CONTROLLERS, Options

_SYNC_S: Final = 15.0
_TOLERANCE: Final = 0.1
_AS_SCALER: Final = Options(manager=CONTROLLERS, subresource="scale")


class Autoscalers:
    """The horizontal pod autoscaler's controller."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def step(self, autoscaler: Object) -> None:
        """Look at what one scales, and scale it."""
        metadata, target = autoscaler["metadata"], autoscaler["spec"]["scaleTargetRef"]
        found = self._context.store.find(str(target["kind"]), metadata["namespace"], str(target["name"]))
        if found is None:
            missing = ("False", "FailedGetScale", f'deployments/scale.apps "{target["name"]}" not found')
            self._report(autoscaler, 0, 0, [condition("AbleToScale", *missing, autoscaler.get("status") or {})])
            return
        self._context.wake_at(self._context.now() + _SYNC_S)
        now = int(found["spec"]["replicas"])
        wanted, conditions = self._wanted(autoscaler, found, now)
        if wanted != now:
            made = copy.deepcopy(found)
            made["spec"]["replicas"] = wanted
            kind = BY_KIND[found["kind"]]
            self._context.writer.update(kind, metadata["namespace"], found["metadata"]["name"], made, _AS_SCALER)
        self._report(autoscaler, now, wanted, conditions)

    def _wanted(self, autoscaler: Object, target: Object, now: int) -> tuple[int, list[Object]]:
        spec, before = autoscaler["spec"], autoscaler.get("status") or {}
        able = condition("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size", before)
        if not now:
            message = "scaling is disabled since the replica count of the target is zero"
            return 0, [able, condition("ScalingActive", "False", "ScalingDisabled", message, before)]
        least, most = int(spec["minReplicas"]), int(spec["maxReplicas"])
        if not least <= now <= most:
            return (least if now < least else most), [able]
        asked = self._steadied(autoscaler, self._by_use(spec, target, now), now)
        active = condition("ScalingActive", "True", "ValidMetricFound", "the HPA was able to compute a count", before)
        return max(least, min(most, asked)), [able, active]

    def _by_use(self, spec: Object, target: Object, now: int) -> int:
        """The largest number that any metric asks for; as many as there are while nothing is known of the pods."""
        pods = [
            p
            for p in self._context.store.list("Pod", target["metadata"]["namespace"])
            if selected(p["metadata"].get("labels") or {}, target["spec"]["selector"]) and is_ready(p)
        ]
        found = [now] if not pods else []
        for metric in spec.get("metrics") or [] if pods else []:
            resource = metric.get("resource") or {}
            percent = (resource.get("target") or {}).get("averageUtilization")
            used = [shares(p).get(str(resource.get("name"))) for p in pods]
            known = [u for u in used if u is not None]
            if percent and known:
                ratio = sum(known) / len(known) * 100 / int(percent)
                found.append(now if abs(ratio - 1) <= _TOLERANCE else math.ceil(len(pods) * ratio))
        return max(found, default=now)

    def _steadied(self, autoscaler: Object, asked: int, now: int) -> int:
        """The largest number asked for within the window in which fewer are not yet believed."""
        down = (autoscaler["spec"].get("behavior") or {}).get("scaleDown") or {}
        window = float(down.get("stabilizationWindowSeconds", 300))
        moment = self._context.now()
        asked_for: list[tuple[float, int]] = self._context.remember(autoscaler, "asked", [(moment, now)])
        asked_for[:] = [*(a for a in asked_for if a[0] > moment - window), (moment, asked)][-200:]
        return max(n for _, n in asked_for)

    def _report(self, autoscaler: Object, now: int, wanted: int, conditions: list[Object]) -> None:
        status = {
            "currentMetrics": None, "currentReplicas": now, "desiredReplicas": wanted, "conditions": conditions
        }  # fmt: skip
        self._context.report(autoscaler, status)
