"""A real page in a real browser, with the code that the documentation gives: it misses nothing through cuts and restarts."""

from __future__ import annotations

import json
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import browser
from tests.support.browser import Page
from tests.support.installation import Installation, installation
from tests.support.line import NetworkLine
from tests.support.watching import Person

DOCUMENTED = Path(__file__).parents[2] / "docs/reference/live.md"
SHELL = """<!doctype html><title>Live</title><script>
%s
const told = {begun: null, snapshots: 0, socket: [], stream: [], gaps: 0, ended: null};
const given = %s;
const token = async () => given.token;
watch({url: given.url, token, topic: given.topic,
       onSnapshot: (_, seq) => { told.snapshots += 1; told.begun = seq; },
       onEvent: (event) => told.socket.push(event.seq)}).then((status) => { told.ended = status; });
follow({url: given.url, token, topic: given.topic, after: given.after, onGap: () => { told.gaps += 1; },
        onEvent: (event) => told.stream.push(event.seq)});
setInterval(() => fetch("/told", {method: "POST", body: JSON.stringify(told)}).catch(() => {}), 100);
</script>"""


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    made = Page()
    async with made.served():
        yield made


@pytest.fixture
async def product(keyrings: Path, tmp_path: Path, page: Page) -> AsyncIterator[Installation]:
    data = Path(tempfile.mkdtemp(prefix="kovra-page-"))
    data.chmod(0o711)
    settings = {"KOVRA_UNLIMITED": "true", "KOVRA_CORS_ORIGINS": page.origin, "KOVRA_LIVE_DRAIN_S": "0.2"}
    try:
        async with installation(tmp_path, data / "postgres", keyrings, **settings) as found:
            yield found
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _code() -> str:
    blocks = re.findall(r"^```js\n(.*?)^```", DOCUMENTED.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    return "\n".join(blocks)


async def _facts(person: Person, tag: str) -> None:
    for number in range(3):
        await person.call("POST", "/v1/projects", {"name": f"{tag} {number}"})


@pytest.mark.timeout(180)
@pytest.mark.skipif(browser.found() is None, reason="NO BROWSER: install Chromium, or name one in KOVRA_TEST_BROWSER")
async def test_a_page_resumes_by_sequence_over_both_ways(page: Page, product: Installation) -> None:
    """T217: the network is cut, the api is killed, the api is replaced; nothing is lost, nothing comes twice."""
    person = Person(product.port)
    body = {"email": "p@example.test", "password": "watch in a page", "name": "P", "organization": {"name": "P"}}
    made = await person.call("POST", "/v1/auth/signup", body)
    person.token = made["access_token"]
    start = (await person.sequences(0))[-1]
    async with NetworkLine(product.port).laid() as line:
        given = {
            "url": f"http://127.0.0.1:{line.port}", "token": person.token, "topic": made["organization"]["id"],
            "after": start,
        }  # fmt: skip
        page.html = SHELL % (_code(), json.dumps(given))
        async with page.opened(str(browser.found())):
            await page.until(lambda told: told.get("begun") == start)
            await _facts(person, "at first")
            await _caught_up(page, person, start)
            line.cut()
            await _facts(person, "while it is cut")
            line.mend()
            await _caught_up(page, person, start)
            await product.api.kill()
            await product.api.start()
            await _facts(person, "after a kill")
            await _caught_up(page, person, start)
            await _replaced(product)
            await _facts(person, "after a replacement")
            await _caught_up(page, person, start)
            assert line.cuts >= 2
            assert (page.told["snapshots"], page.told["gaps"]) == (1, 0)
            ended = await person.client.post("/v1/auth/logout", headers={"Authorization": f"Bearer {person.token}"})
            assert ended.status_code == 204
            await page.until(lambda told: told["ended"] == 401)
    await person.client.aclose()


async def _replaced(product: Installation) -> None:
    """As a rolling update does: SIGTERM, and another begins."""
    await product.api.kill(signal.SIGTERM)
    await product.api.start()
    await product.ready()


async def _caught_up(page: Page, person: Person, start: int) -> None:
    written = await person.sequences(start)
    await page.until(lambda told: told["socket"][-1:] == told["stream"][-1:] == written[-1:])
    assert page.told["socket"] == page.told["stream"] == written
