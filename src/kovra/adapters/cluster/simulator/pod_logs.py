"""The log subresource of pods: which container's, which part of it, and following it."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from kovra.adapters.cluster.simulator.kinds import Kind, bad_request, invalid_all
from kovra.adapters.cluster.simulator.kubelet import Kubelet
from kovra.adapters.cluster.simulator.kubelet.containers import Container
from kovra.adapters.cluster.simulator.logs import Log, moment, rendered, selected
from kovra.adapters.cluster.simulator.requests import as_number
from kovra.adapters.cluster.simulator.store import Object, Store

FOLLOW_S: Final = 0.05
_OPTIONS: Final = Kind("", "v1", "PodLogOptions", "")
_TRYING: Final = frozenset({"ErrImagePull", "ImagePullBackOff"})


class PodLogs:
    """Answers ``pods/NAME/log``."""

    def __init__(self, store: Store, kubelet: Kubelet) -> None:
        self._store = store
        self._kubelet = kubelet

    async def answer(self, request: web.Request, kind: Kind, namespace: str, name: str) -> web.StreamResponse:
        """The lines asked for, or a stream of them that ends with the container."""
        pod = self._store.get(kind, namespace, name)
        query = _checked(request, name)
        wanted = _container_name(pod, request.query.get("container", ""))
        if "nodeName" not in pod["spec"]:
            return web.Response(status=204)
        container = self._kubelet.container(pod, wanted)
        log = self._log(pod, wanted, container, request.query.get("previous") == "true")
        shown, seen = selected(list(log.lines), query), log.written
        if request.query.get("follow") != "true" or container is None:
            return web.Response(body=rendered(shown, query), content_type="text/plain")
        response = web.StreamResponse(headers={"Content-Type": "text/plain", "Kovra-Simulated": "true"})
        await response.prepare(request)
        await response.write(rendered(shown, query))
        while True:
            # Looked at before the lines are, so that the last ones are not lost.
            ended = self._ended(pod, container, log)
            if new := log.after(seen):
                await response.write(rendered(new, {k: v for k, v in query.items() if k == "timestamps"}))
                seen = new[-1].number
            if ended:
                return response
            await asyncio.sleep(FOLLOW_S)

    def _ended(self, pod: Object, container: Container, log: Log) -> bool:
        gone = self._kubelet.runs.get(pod["metadata"]["uid"]) is None
        return gone or container.log is not log or container.state != "running"

    def _log(self, pod: Object, name: str, container: Container | None, previous: bool) -> Log:
        about = f'container "{name}" in pod "{pod["metadata"]["name"]}"'
        if previous:
            before = container.log_of(previous=True) if container is not None else None
            if before is None:
                raise bad_request(f"previous terminated {about} not found")
            return before
        if container is None or (container.state == "waiting" and container.ended is None):
            why = container.reason if container is not None else "ContainerCreating"
            raise bad_request(
                f"{about} is waiting to start: {'trying and failing to pull image' if why in _TRYING else why}"
            )
        return container.log


def _container_name(pod: Object, asked: str) -> str:
    name, spec = pod["metadata"]["name"], pod["spec"]
    main = [str(c["name"]) for c in spec["containers"]]
    init = [str(c["name"]) for c in spec.get("initContainers") or []]
    if asked:
        if asked not in main and asked not in init:
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(main) == 1:
        return main[0]
    message = f"a container name must be specified for pod {name}, choose one of: [{' '.join(main)}]"
    raise bad_request(message + (f" or one of the init containers: [{' '.join(init)}]" if init else ""))


def _checked(request: web.Request, name: str) -> dict[str, str]:
    """The options, each of which may be refused."""
    query = dict(request.query)
    wrong = []
    for option, least in (("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)):
        if option in query and as_number(query[option]) < least:
            than = "greater than or equal to 0" if least == 0 else "greater than 0"
            wrong.append(f"{option}: Invalid value: {as_number(query[option])}: must be {than}")
    if "sinceTime" in query:
        moment(query["sinceTime"])
        if "sinceSeconds" in query:
            wrong.append("sinceSeconds: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified")
    if wrong:
        raise invalid_all(_OPTIONS, name, wrong)
    return query
