"""The controllers: one pass brings everything forward. A pass looks at what is wanted and what is there and takes the
next step, so that it can be run as often as one likes; when nothing has changed and nothing is due it does nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from kovra.adapters.cluster.simulator.controllers.autoscalers import Autoscalers
from kovra.adapters.cluster.simulator.controllers.cleaning import Cleaning
from kovra.adapters.cluster.simulator.controllers.context import Context
from kovra.adapters.cluster.simulator.controllers.deployments import Deployments
from kovra.adapters.cluster.simulator.controllers.jobs import Jobs
from kovra.adapters.cluster.simulator.controllers.namespaces import Namespaces
from kovra.adapters.cluster.simulator.controllers.observers import Budgets, Claims, Endpoints, Quotas
from kovra.adapters.cluster.simulator.controllers.replicasets import ReplicaSets
from kovra.adapters.cluster.simulator.events import Events
from kovra.adapters.cluster.simulator.kinds import ApiError
from kovra.adapters.cluster.simulator.kubelet import Kubelet
from kovra.adapters.cluster.simulator.store import Object, Store
from kovra.adapters.cluster.simulator.writer import Writer
from kovra.foundation.observability import logger


class Controllers:
    """Brings objects forward."""

    def __init__(self, store: Store, writer: Writer, kubelet: Kubelet, events: Events) -> None:
        self._store = store
        self._kubelet = kubelet
        self._events = events
        self._context = context = Context(store=store, writer=writer, kubelet=kubelet, events=events)
        self._cleaning = Cleaning(context)
        self._steps: tuple[tuple[str, Callable[[Object], None]], ...] = (
            ("Namespace", Namespaces(context).step),
            ("HorizontalPodAutoscaler", Autoscalers(context).step),
            ("Deployment", Deployments(context).step),
            ("ReplicaSet", ReplicaSets(context).step),
            ("Job", Jobs(context).step),
            ("PersistentVolumeClaim", Claims(context).step),
            ("ResourceQuota", Quotas(context).step),
            ("PodDisruptionBudget", Budgets(context).step),
            ("Service", Endpoints(context).step),
        )
        self._settled_at = -1

    def tick(self) -> None:
        """One pass over everything that may have to move."""
        for pod in self._store.list("Pod"):
            self._bring_forward(self._kubelet.advance, pod)
        if self._store.version == self._settled_at and not self._context.is_due():
            return
        self._context.begin_pass()
        before = self._store.version
        for kind, step in self._steps:
            for item in self._store.list(kind):
                self._bring_forward(step, item)
        self._cleaning.collect()
        self._forget()
        self._settled_at = before if self._store.version == before else -1

    def _bring_forward(self, step: Callable[[Object], None], item: Object) -> None:
        """One object that cannot be brought forward holds up no other."""
        try:
            step(item)
        except ApiError as refused:  # it changed under the controller: the next pass sees it
            logger.debug("simulator_pass_refused", kind=item["kind"], reason=refused.reason)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as wrong:
            logger.debug("simulator_bad_object", kind=item["kind"], error=type(wrong).__name__)

    def _forget(self) -> None:
        """What is remembered about objects goes with them."""
        known = set(self._store.by_uid)
        self._context.forget(known)
        self._kubelet.forget(known)
        self._events.forget({n["metadata"]["name"] for n in self._store.list("Namespace")})
