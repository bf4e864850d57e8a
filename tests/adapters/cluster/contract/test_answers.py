"""The same calls, the same answers: what a real API server said is recorded, and the simulator says it too.

On a real API server the record is checked against it; with KOVRA_UPDATE_GOLDEN it is written anew.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.client.exceptions import ApiException

from kovra.adapters.cluster.client import ClusterClient
from tests.adapters.cluster.contract.calls import Call, comparable, resolved
from tests.adapters.cluster.contract.scenarios import SCENARIOS

ANSWERS = Path(__file__).parent / "answers"
RECORDED_ON = "35"
"""The minor version of Kubernetes the record was made on: others word some refusals otherwise."""
CONTROLLERS_S = 90
"""How long a call may be asked again: a namespace is emptied after five seconds at the soonest, and behind others."""


async def ask(client: ClusterClient, call: Call, namespace: str, answers: list[Any]) -> tuple[int, Any]:
    request = await client._api.param_serialize(
        call.method,
        call.path.replace("{ns}", namespace),
        query_params=list(call.query.items()),
        header_params={"Content-Type": call.content, "Accept": call.accept},
        body=resolved(call.body, answers),
        auth_settings=["BearerToken"],
    )
    try:
        answer = await client._api.call_api(*request, _request_timeout=10)
        status, text = int(answer.status), (await answer.response.read()).decode()
    except ApiException as refused:
        status, text = int(refused.status or 0), str(refused.body or "")
    return status, json.loads(text) if text.startswith("{") else text


async def answered(client: ClusterClient, call: Call, namespace: str, answers: list[Any]) -> tuple[int, Any]:
    async with asyncio.timeout(CONTROLLERS_S):
        while True:
            status, body = await ask(client, call, namespace, answers)
            if call.until in json.dumps(body):
                return status, body
            await asyncio.sleep(0.05)


async def played(client: ClusterClient, calls: list[Call], namespace: str) -> list[Any]:
    """Every call with its comparable answer."""
    answers: list[Any] = []
    record = []
    for call in calls:
        status, body = await answered(client, call, namespace, answers)
        answers.append(body)
        query = "&".join(f"{name}={value}" for name, value in call.query.items())
        asked = f"{call.method} {call.path}" + (f"?{query}" if query else "")
        shown = comparable(body, namespace, shows_status=call.shows_status)
        record.append({"asked": asked, "status": status, "answer": shown})
    return record


@pytest.mark.timeout(2 * CONTROLLERS_S)
@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_same_calls_get_the_same_answers(
    client: ClusterClient, namespace: str, api_server: str, name: str
) -> None:
    version = await client._json("GET", "/version")
    if version["minor"] != RECORDED_ON:
        pytest.skip(f"the answers were recorded on 1.{RECORDED_ON}")
    record = await played(client, SCENARIOS[name], namespace)
    path = ANSWERS / f"{name}.json"
    if api_server == "real" and os.environ.get("KOVRA_UPDATE_GOLDEN"):
        lines = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        await asyncio.to_thread(path.write_text, lines)
    known = json.loads(await asyncio.to_thread(path.read_text))
    for number, (call, ours, theirs) in enumerate(zip(SCENARIOS[name], record, known, strict=True), start=1):
        theirs["answer"] = comparable(theirs["answer"], namespace, shows_status=call.shows_status)
        assert ours == theirs, f"call {number}: {theirs['asked']}"
