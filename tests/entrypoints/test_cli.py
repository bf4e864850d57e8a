"""User verbs against a served product: what they print, what they say when refused, and their exit codes."""

from __future__ import annotations

import asyncio
import io
import re
import stat
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from kovra.client import AddressWrong, ApiRefused, Client, address
from kovra.entrypoints.cli import contexts, kept
from kovra.entrypoints.cli.output import Output
from kovra.entrypoints.cli.waiting import exit_code
from kovra.foundation import clock
from kovra.foundation.db.embedded import free_port
from tests.support.commands import Served, kovra
from tests.support.product import App, Caller, Product

pytestmark = pytest.mark.usefixtures("at_served")


@pytest.fixture(scope="module")
async def ada(running: Product) -> Caller:
    return await running.sign_up("Ada")


@pytest.fixture
async def shop(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> App:
    """An app of Ada's, whose token the commands use."""
    assert ada.token is not None
    monkeypatch.setenv("KOVRA_TOKEN", ada.token)
    return await ada.app()


def tokens() -> dict[str, str]:
    """What is kept of the only login."""
    return contexts.tokens_of(contexts.load().known["default"])


def ada_url() -> str:
    return contexts.load().known["default"].url


def named(app: App) -> str:
    return f"{app.project['slug']}/{app.app['slug']}"


async def test_a_login_is_kept_in_a_private_file_until_logout(ada: Caller, served: Served) -> None:
    done = await kovra("login", "--email", ada.email, "--output", "json", stdin=ada.password + "\n")
    assert (done.code, done.json["url"]) == (0, served.url), done.err
    assert "Logged in to" in done.err
    assert "kvr_rt_" not in done.out + done.err
    assert stat.S_IMODE(contexts.state_file().stat().st_mode) == 0o600
    who = await kovra("whoami")
    assert (who.code, who.out.split()[0]) == (0, ada.email)
    assert (await kovra("whoami", "--output", "json")).json["role"] == "owner"
    refresh = tokens()["refresh_token"]
    done = await kovra("logout", "-o", "json")
    assert (done.code, done.json["logged_out"]) == (0, True)
    assert tokens() == {}
    assert refresh not in contexts.state_file().read_text()
    assert (await ada.send("POST", "/v1/auth/refresh", {"refresh_token": refresh})).status_code == 401
    again = await kovra("logout")
    assert (again.code, again.err) == (0, "You were not logged in.\n")
    nobody = await kovra("whoami")
    assert (nobody.code, "Log in with: kovra login" in nobody.err) == (4, True)


async def test_a_wrong_password_is_denied_and_keeps_nothing(ada: Caller) -> None:
    done = await kovra("login", "--email", ada.email, stdin="not it at all\n")
    assert done.code == 4
    assert not contexts.state_file().exists()
    assert (await kovra("login", "--email", ada.email)).code == 5  # nothing on stdin


async def test_an_expired_access_token_is_refreshed_again_and_again(ada: Caller) -> None:
    for _ in range(2):
        with time_machine.travel(clock.now() - timedelta(hours=1)):
            assert (await kovra("login", "--email", ada.email, stdin=ada.password + "\n")).code == 0
        before = tokens()
        assert (await kovra("whoami")).code == 0
        after = tokens()
        assert after["access_token"] != before["access_token"]
        assert after["refresh_token"] != before["refresh_token"]


async def test_commands_side_by_side_refresh_once(ada: Caller) -> None:
    with time_machine.travel(clock.now() - timedelta(hours=1)):
        await kovra("login", "--email", ada.email, stdin=ada.password + "\n")
    clients = [kept.connect() for _ in range(4)]
    found = await asyncio.gather(*(asyncio.to_thread(c.call, "GET", "/v1/me") for c in clients))
    assert {me["user"]["email"] for me in found} == {ada.email}
    assert len({c.token for c in clients}) == 1


async def test_an_ended_login_says_what_to_do(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    with time_machine.travel(clock.now() - timedelta(hours=1)):
        await kovra("login", "--email", ada.email, stdin=ada.password + "\n")
    kept.keep("default", ada_url(), {**tokens(), "refresh_token": "kvr_rt_gone"})
    done = await kovra("whoami")
    assert (done.code, "kovra login" in done.err) == (4, True)
    monkeypatch.setenv("KOVRA_TOKEN", "kvr_api_wrong")
    done = await kovra("whoami")
    assert (done.code, "KOVRA_TOKEN" in done.err) == (4, True)


async def test_projects_environments_and_apps_are_made_listed_and_shown(shop: App) -> None:
    made = await kovra("projects", "create", "Side Door", "--slug", f"side-{shop.project['slug']}")
    slug = made.out.split()[0]
    assert (made.code, slug) == (0, f"side-{shop.project['slug']}")
    assert slug in (await kovra("projects", "list")).out
    assert {p["slug"] for p in (await kovra("projects", "list", "-o", "json")).json} >= {slug}
    made = await kovra("environments", "create", slug, "Try", "--kind", "staging", "--protected", "-o", "json")
    assert (made.json["slug"], made.json["kind"], made.json["protected"]) == ("try", "staging", True)
    assert {e["slug"] for e in (await kovra("environments", "list", "--project", slug, "-o", "json")).json} == {
        "production",
        "try",
    }
    assert "try" in (await kovra("environments", "list", "--project", slug)).out
    made = await kovra(
        "apps", "create", slug, "Web", "--image", "registry.test/kovra/ok:1", "--port", "9000", "-o", "json"
    )
    assert made.json["processes"]["web"]["port"] == 9000
    assert "registry.test/kovra/ok:1" in (await kovra("apps", "list", "--project", slug)).out
    shown = await kovra("apps", "show", f"{slug}/web")
    assert shown.out.splitlines()[1].startswith("nothing live")
    assert (await kovra("apps", "show", f"{slug}/web", "-e", "try", "-o", "json")).json["environment_id"]


async def test_config_and_secrets(shop: App) -> None:
    app = named(shop)
    assert (await kovra("config", "set", app, "A=1", "B=x=y")).out == "revision 1, staged for the next deployment\n"
    assert (await kovra("config", "set", app, "A=1")).out == "revision 1, nothing changed\n"
    assert (await kovra("config", "list", app)).out == "# revision 1\nA=1\nB=x=y\n"
    assert (await kovra("config", "list", app, "-o", "json")).json["vars"] == {"A": "1", "B": "x=y"}
    assert (await kovra("config", "get", app, "B")).out == "x=y\n"
    assert (await kovra("config", "get", app, "B", "-o", "json")).json == {"name": "B", "value": "x=y", "revision": 1}
    absent = await kovra("config", "get", app, "C")
    assert (absent.code, f"kovra config list {app}" in absent.err) == (5, True)
    assert (await kovra("config", "unset", app, "A", "-o", "json")).json["vars"] == {"B": "x=y"}
    value = "a value of some length\nwith two lines"
    done = await kovra("secrets", "set", app, "API_KEY", stdin=value + "\n")
    assert done.out == "revision 3, staged for the next deployment\n"
    listed = await kovra("secrets", "list", app)
    assert "API_KEY" in listed.out and value not in listed.out
    assert (await kovra("secrets", "list", app, "-o", "json")).json["data"][0]["version"] == 1
    assert (await kovra("secrets", "set", app, "EMPTY")).code == 5
    assert (await kovra("secrets", "unset", app, "API_KEY", "-o", "json")).json["secrets"] == {}
    wrong = await kovra("config", "set", app, "PORT=1")
    assert (wrong.code, "/vars/PORT" in wrong.err) == (5, True)
    deployed = await kovra("config", "set", app, "A=2", "--deploy", "-o", "json")
    assert (deployed.code, deployed.json["outcome"]) == (0, "live"), deployed.err


async def test_deploying_breaking_and_going_back(shop: App) -> None:
    app = named(shop)
    live = await kovra("deploy", app, "--image", "registry.test/kovra/ok:2", "--wait")
    assert (live.code, live.out) == (0, "live: release 1\n"), live.err
    progress = [line for line in live.err.splitlines() if not line.startswith("Waiting")]
    assert progress[0].startswith("deployment dep_")
    assert progress[-1] == "  done"
    failed = await kovra("deploy", app, "--image", "registry.test/kovra/crash:1")
    assert failed.code == 1
    assert "crash_loop:" in failed.out and "exit code 3" in failed.out
    assert "The previous release serves again." in failed.out
    diff = await kovra("rollback", app, "1", "--dry-run", "-o", "json")
    assert (diff.code, "image" in diff.json) == (0, True)
    back = await kovra("rollback", app, "1", "-o", "json")
    assert (back.code, back.json["outcome"], back.json["trigger"]) == (0, "live", "rollback"), back.err
    assert "release 3" in (await kovra("apps", "show", app)).out
    assert (await kovra("rollback", app, "99")).code == 5


async def test_a_canceled_deployment_is_two(shop: App, ada: Caller) -> None:
    heard = io.StringIO()
    command = ("deploy", named(shop), "--image", "registry.test/kovra/slow:1", "-o", "json")
    watching = asyncio.create_task(kovra(*command, heard=heard))
    await _until(lambda: "deployment dep_" in heard.getvalue())
    (deployment,) = re.findall(r"dep_\w{26}", heard.getvalue())
    await ada.post(f"/v1/deployments/{deployment}/actions/cancel")
    done = await watching
    assert (done.code, done.json["outcome"]) == (2, "canceled"), done.err


@pytest.mark.parametrize(
    ("outcome", "code"), [("live", 0), ("failed", 1), ("canceled", 2), ("superseded", 2), ("skipped", 0), (None, 3)]
)
def test_exit_codes_are_those_of_the_reference(outcome: str | None, code: int) -> None:
    deployment = {"outcome": outcome, "release": None, "phase": "verifying", "reason": None}
    assert exit_code(deployment, Output.json) == code


async def _until(true: Any) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_an_api_that_restarts_meanwhile_is_waited_for_and_said(shop: App, served: Served) -> None:
    heard = io.StringIO()
    image = "registry.test/kovra/slow:1"
    watching = asyncio.create_task(kovra("deploy", named(shop), "--image", image, heard=heard))
    await _until(lambda: "queued" in heard.getvalue() or "preparing" in heard.getvalue())
    await served.close()
    await _until(lambda: "The deployment goes on; trying again" in heard.getvalue())
    await served.open()
    done = await watching
    assert (done.code, done.out) == (0, "live: release 1\n"), done.err
    assert "The API answers again." in done.err


async def test_without_permission_it_is_four_and_says_who_grants_it(
    shop: App, running: Product, ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = await running.member(ada, "viewer")
    assert viewer.token is not None
    monkeypatch.setenv("KOVRA_TOKEN", viewer.token)
    done = await kovra("deploy", named(shop), "--image", "registry.test/kovra/ok:1")
    assert (done.code, "It needs deployments:create" in done.err) == (4, True), done.err


@pytest.mark.parametrize(
    "words",
    [
        ["nope"], ["deploy"], ["deploy", "shop"], ["deploy", "/web"], ["config", "set", "a/b", "NOVALUE"],
        ["config", "set", "a/b", "A=1", "A=2"], ["rollback", "a/b", "x"], ["rollback", "a/b", "0"],
        ["deploy", "a/b", "--timeout", "0"], ["whoami", "--output", "xml"], ["apps", "show", "no/such"],
        ["apps", "show", "{shop}", "-e", "nowhere"], ["projects", "create", "x" * 300], ["deploy", "{shop}", "--image", "::"],
    ],
    ids=" ".join,
)  # fmt: skip
async def test_wrong_usage_is_five_and_says_what_is_right(words: list[str], shop: App) -> None:
    done = await kovra(*(word.format(shop=named(shop)) for word in words))
    assert (done.code, done.out) == (5, ""), done.err
    assert len(done.err.splitlines()) >= 2, done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", "http://host:x", ""])
def test_addresses_are_checked(url: str) -> None:
    with pytest.raises(AddressWrong):
        address(url)


async def test_who_does_not_answer_or_is_not_kovra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kovra.client.session.time.sleep", lambda _s: None)
    monkeypatch.setenv("KOVRA_URL", f"http://127.0.0.1:{free_port()}")
    done = await kovra("whoami")
    assert (done.code, "does not answer" in done.err, "make run" in done.err) == (1, True, True)
    monkeypatch.setenv("KOVRA_URL", "localhost:8080")
    assert (await kovra("whoami")).code == 5

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    async with server:
        monkeypatch.setenv("KOVRA_URL", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        done = await kovra("whoami")
    assert (done.code, "not as Kovra's API does" in done.err) == (1, True), done.err


async def test_what_passes_is_tried_again_with_the_same_idempotency_key(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("kovra.client.session.time.sleep", slept.append)
    heads: list[str] = []

    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        answer = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        if len(heads) < 3:
            answer = b"HTTP/1.1 503 Away\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(busy, "127.0.0.1", 0)
    async with server:
        client = Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", None)
        assert await asyncio.to_thread(client.call, "POST", "/v1/projects", {}) == {}
    assert slept == [7.0, 7.0]
    keys = {line for head in heads for line in head.splitlines() if line.startswith("Idempotency-Key")}
    assert (len(heads), len(keys)) == (3, 1)


async def test_an_untrusted_certificate_is_refused_at_once(tmp_path: Path) -> None:
    import ssl

    from tests.support import tls_front

    made = tls_front.make(tmp_path, "other", host="127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.certificate, made.key)
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        client = Client(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", None)
        with pytest.raises(ApiRefused, match="cannot be trusted") as refused:
            await asyncio.to_thread(client.call, "GET", "/v1/me")
    assert not refused.value.passes


def test_help_loads_nothing_heavy() -> None:
    """What a library costs is what it imports: the whole program stays out of `--help` and of user verbs."""
    heavy = (
        "fastapi", "starlette", "pydantic", "pydantic_settings", "sqlalchemy", "asyncpg", "psycopg", "alembic", "uvicorn",
        "kubernetes", "boto3", "botocore", "httpx", "aiohttp", "structlog", "cryptography", "bcrypt", "jwt", "procrastinate",
        "prometheus_client", "rich", "yaml",
    )  # fmt: skip
    code = (
        "import sys\nfrom kovra.entrypoints.cli import main\nsys.argv = ['kovra', '--help']\n"
        f"try:\n    main()\nfinally:\n    print('LOADED', [m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("LOADED []\n"), done.stdout
    for verb in (
        "api", "worker", "streamer", "dev", "simulator", "migrate", "bootstrap", "keys", "jobs", "ledger", "openapi",
        "login", "logout", "whoami", "projects", "environments", "apps", "config", "secrets", "deploy", "rollback",
    ):  # fmt: skip
        assert f"\n  {verb} " in done.stdout, verb
