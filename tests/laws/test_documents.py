"""Documents that are generated: compared with the code, refreshed by `make golden`."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import json
import os
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefinedType
from pydantic_settings import BaseSettings

from kovra.entrypoints import description
from kovra.entrypoints.api import ROUTERS
from kovra.entrypoints.clients import everything
from kovra.entrypoints.openapi.meanings import MEANINGS
from kovra.entrypoints.openapi.remedies import REMEDIES
from kovra.entrypoints.streamer import StreamerSettings
from kovra.entrypoints.worker import handlers
from kovra.features.deployments.rules.reasons import REASONS
from kovra.features.organizations.roles import ROLES
from kovra.features.runs.rules.reasons import RUN_REASONS
from kovra.foundation.access import Role
from kovra.foundation.events import CATALOGUE
from kovra.foundation.jobs.messages import Job
from kovra.foundation.web.guard import guarded_routes, guarded_sockets
from kovra.foundation.web.logins import LoginThrottleOptions
from kovra.foundation.web.ratelimit import RateLimitOptions
from kovra.settings import Settings
from tests.support.api_pages import PROBLEM, Reference
from tests.support.field_codes import field_codes

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "kovra"
_INJECTED = {"KOVRA_RELEASE", "KOVRA_ENVIRONMENT"}
"""What workloads are given, not processes of ours."""


def same(path: str, text: str) -> None:
    file = ROOT / path
    if os.environ.get("KOVRA_UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert file.read_text() == text, f"{path} is stale: run `make golden` and read the diff"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return description.document()


def test_the_description_of_the_api_is_as_it_was_reviewed(document: dict[str, Any]) -> None:
    """T187."""
    same("docs/reference/openapi.json", json.dumps(document, indent=1, sort_keys=True) + "\n")


def test_the_clients_are_those_that_the_description_makes() -> None:
    """A changed endpoint, fact or frame without `make golden` is red here."""
    made = everything.files()
    for kind in ("models", "operations"):
        for file in (ROOT / everything.PYTHON / kind).glob("*.py"):
            path = str(file.relative_to(ROOT))
            if os.environ.get("KOVRA_UPDATE_GOLDEN") and path not in made:
                file.unlink()
            assert path in made or not file.exists(), f"{path} is no part of the client any more: run `make golden`"
    for path, text in made.items():
        same(path, text)


def test_operations_have_stable_ids_and_say_their_permission(document: dict[str, Any]) -> None:
    ids = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            ids.append(operation["operationId"])
            assert operation.get("tags"), path
            assert (
                operation["security"] == []
                or operation.get("x-permission")
                or path.startswith(("/v1/auth", "/v1/me", "/v1/sessions", "/v1/organizations"))
            ), path
    assert len(ids) == len(set(ids))


def test_public_routes_stand_in_their_page_each_with_a_reason() -> None:
    lines = [
        "# Public routes",
        "",
        "Every route that answers without a credential, and why. Generated from the router.",
        "",
    ]
    lines += ["| route | reason |", "| --- | --- |"]
    for router in ROUTERS:
        for route in guarded_routes(router.routes):
            if route.policy.public:
                lines.append(f"| `{' '.join(route.methods)} {route.path}` | {route.policy.public} |")
        lines += [f"| `SOCKET {path}` | {reason} |" for path, reason in guarded_sockets(router.routes)]
    same("docs/security/public-routes.md", "\n".join(lines) + "\n")


def test_who_may_call_what_is_as_it_was_reviewed() -> None:
    """T061: the table the matrix of routes and identities is compared with, by people."""
    lines = [
        "# Permissions",
        "",
        "Which permission each route needs, and which roles hold it. Generated from the router.",
        "",
    ]
    lines += ["| route | permission | owner | admin | member | viewer |", "| --- | --- | --- | --- | --- | --- |"]
    for router in ROUTERS:
        for route in guarded_routes(router.routes):
            named = f"`{' '.join(route.methods)} {route.path}`"
            permission = route.policy.permission
            if permission is not None:
                held = " | ".join("yes" if permission in ROLES[role] else "" for role in Role)
                lines.append(f"| {named} | `{permission.value}` | {held} |")
            elif route.policy.account:
                whom = "a person's login" if route.policy.login else "any living credential"
                lines.append(f"| {named} | {whom} | yes | yes | yes | yes |")
    same("docs/reference/permissions.md", "\n".join(lines) + "\n")


def _error_codes() -> dict[str, str]:
    """Every code an error of ours may carry: class attributes and ``code=`` arguments. The command line's own stand in its page."""
    found: dict[str, str] = {}
    for file in sorted(set(SOURCE.rglob("*.py")) - set((SOURCE / "entrypoints/cli").rglob("*.py"))):
        text = file.read_text()
        for match in re.finditer(r'^    code(?:: ClassVar\[str\])? = "([a-z_]+)"', text, re.MULTILINE):
            found.setdefault(match[1], file.parent.name)
        for match in re.finditer(r'\bcode="([a-z_]+)"', text):
            found.setdefault(match[1], file.parent.name)
    return found


def _answers(document: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Code → status → the operations that answer so, as links into their pages."""
    found: dict[str, dict[str, list[str]]] = {}
    for of_a_tag in Reference(document).operations.values():
        for operation in of_a_tag:
            for status, answer in operation.said["responses"].items():
                for code in answer.get("content", {}).get(PROBLEM, {}).get("examples", {}):
                    found.setdefault(code, {}).setdefault(status, []).append(operation.link)
    return found


def test_codes_stand_in_their_page(document: dict[str, Any]) -> None:
    lines = [
        "# Problem codes",
        "",
        "Every `code` of a problem (RFC 9457), what it means and what to do. `type` of a problem leads to the same words,",
        "`/docs/problems/<code>` of the installation. Generated from the source. Why deployments end is",
        "[a page of its own](deployment-reasons.md).",
        "",
    ]
    answers = _answers(document)
    for code in sorted(MEANINGS):
        lines += [f"## {code}", "", MEANINGS[code], "", f"**What to do:** {REMEDIES[code]}", ""]
        for status, links in sorted(answers.get(code, {}).items()):
            whom = (
                ", ".join(links) if len(links) <= 12 else f"[{len(links)} calls](api/index.md#what-any-call-may-answer)"
            )
            lines += [f"{status}, from {whom}.", ""]
    fields = field_codes()
    lines += [
        "## Codes of fields",
        "",
        "What `errors[].code` says of a single field, beside `pointer` (a path into the body, or `query:name`). Those of types,",
        "lengths and ranges are named by the rule that was broken: `string_too_long`, `greater_than_equal`, `literal_error` and",
        "the like, with the limit in `message`.",
        "",
        "| code | message |",
        "| --- | --- |",
        *(f"| `{code}` | {' · '.join(messages)} |" for code, messages in fields.items()),
        "",
        "## Other codes",
        "",
        "Of sockets and streams, of log lines, and of processes that do not start.",
        "",
        ", ".join(f"`{code}`" for code in sorted(_error_codes().keys() - MEANINGS.keys() - fields.keys())) + ".",
    ]
    same("docs/reference/codes.md", "\n".join(lines) + "\n")


def test_reasons_stand_in_their_page() -> None:
    lines = [
        "# Why deployments end",
        "",
        "The `reason` of a deployment that did not go live: its `code`, what happened, what `evidence` shows, and what to do.",
        "`phase` says where it happened. What an outcome means is told in [the verdict](../concepts/verdict.md). Known values of",
        "config and secrets are masked in all of it. Generated from the source.",
        "",
        "| code | what happened | what the evidence shows | what to do |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| `{code}` | {m.message} | {m.shows} | {m.hint} |" for code, m in sorted(REASONS.items())]
    same("docs/reference/deployment-reasons.md", "\n".join(lines) + "\n")


def test_reasons_of_runs_stand_in_their_page() -> None:
    lines = [
        "# Why runs end",
        "",
        "The `reason` of a run that did not succeed: its `code`, what happened, what `evidence` shows, and what to do. How runs",
        "and cron jobs work is told in [runs and cron jobs](../concepts/runs.md). Known values of config and secrets are masked",
        "in all of it. Generated from the source.",
        "",
        "| code | what happened | what the evidence shows | what to do |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| `{code}` | {m.message} | {m.shows} | {m.hint} |" for code, m in sorted(RUN_REASONS.items())]
    same("docs/reference/run-reasons.md", "\n".join(lines) + "\n")


def _meanings(kind: type[BaseSettings]) -> dict[str, str]:
    """Setting → the text below it in the source, of a class and of those it is made of."""
    found: dict[str, str] = {}
    for part in reversed([c for c in kind.__mro__ if c.__module__.startswith("kovra.")]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(part))).body
        assert isinstance(tree, ast.ClassDef)
        for field, after in itertools.pairwise(tree.body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                found[ast.unparse(field.target)] = " ".join(str(after.value.value).replace("``", "`").split())
    return found


def _shown_default(value: Any) -> str:
    """A default as it would stand in the environment."""
    match value:
        case PydanticUndefinedType():
            return "needed"
        case None | () | "":
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case float():
            return f"`{value:g}`"
        case _:
            return f"`{value}`"


def test_settings_stand_in_their_page_each_with_its_meaning() -> None:
    lines = ["# Settings", "", "Generated from the source. Every setting is a variable of the environment, read once."]
    parts: tuple[tuple[str, type[BaseSettings]], ...] = (
        ("The api, the worker and the operators' commands", Settings),
        ("The streamer", StreamerSettings),
    )
    for title, kind in parts:
        meanings = _meanings(kind)
        lines += ["", f"## {title}", "", "| variable | default | meaning |", "| --- | --- | --- |"]
        for name, field in kind.model_fields.items():
            assert name in meanings, f"{kind.__name__}.{name} says nothing of its meaning"
            default = _shown_default(field.default if field.default_factory is None else None)
            lines.append(f"| `KOVRA_{name.upper()}` | {default} | {meanings[name].replace('|', chr(92) + '|')} |")
    same("docs/reference/settings.md", "\n".join(lines) + "\n")


def test_the_page_of_limits_is_right() -> None:
    page = (ROOT / "docs" / "operating" / "running.md").read_text()
    buckets, logins = RateLimitOptions(), LoginThrottleOptions()
    for field in dataclasses.fields(buckets):
        bucket = getattr(buckets, field.name)
        assert (f"| `{field.name}` | {bucket.burst} |" in page, bucket.window_s) == (True, 60.0)
    assert logins.window_s == 300
    for line in (
        f"| {logins.per_account} | at one account from one network |",
        f"| {logins.per_stranger} | at one account from all networks",
        f"| {logins.per_network} | at any account from one network; {logins.per_site} from one IPv6 /48 |",
        f"| {logins.sign_ups} | sign-ups from one network; {logins.site_sign_ups} from one IPv6 /48 |",
    ):
        assert line in page


def test_pages_name_no_variable_that_nobody_reads() -> None:
    read = {f"KOVRA_{name.upper()}" for kind in (Settings, StreamerSettings) for name in kind.model_fields}
    for file in [*SOURCE.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / "Makefile", ROOT / ".ci" / "run"]:
        read |= set(re.findall(r"KOVRA_(?:PG_BIN|TEST_[A-Z]+|URL|TOKEN|RUN_ID|UPDATE_GOLDEN)", file.read_text()))
        read |= set(re.findall(r"KOVRA_(?:CONTEXT|CREDENTIALS|COMPLETION_S|DEBUG)", file.read_text()))
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        named = set(re.findall(r"KOVRA_[A-Z][A-Z_]*[A-Z]", page.read_text()))
        assert named <= read | _INJECTED, (page.name, named - read - _INJECTED)


def test_every_job_has_exactly_one_handler() -> None:
    def all_jobs(kind: type[Job]) -> set[type[Job]]:
        return {kind} | {inner for below in kind.__subclasses__() for inner in all_jobs(below)}

    wired = [kind.name for kind, _ in handlers().items()]
    # By name: a dataclass with slots is made twice, and both stay known as subclasses.
    declared = {kind.name for kind in all_jobs(Job) if kind.name and kind.__module__.startswith("kovra.")}
    assert set(wired) == declared
    assert len(wired) == len(set(wired))


def test_every_event_says_what_it_means() -> None:
    assert len(CATALOGUE) > 20
    for name, kind in CATALOGUE.items():
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", name)
        assert kind.__doc__
        assert kind.prefix


def test_the_tenant_variable_is_set_in_migrations_only() -> None:
    for file in SOURCE.rglob("*.py"):
        assert "set_config" not in file.read_text().replace("``set_config", ""), file


def test_nothing_dangerous_is_called() -> None:
    """T121."""
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("eval", "exec", "os.system", "pickle.loads", "yaml.load"), (file, node.lineno)
                assert all(k.arg != "shell" for k in node.keywords), (file, node.lineno)


def test_nothing_waits_in_a_way_that_loses_a_cancellation() -> None:
    """Python 3.11's ``wait_for`` drops a cancellation that comes in the turn its wait ends; ``timeout`` does not."""
    for file in SOURCE.rglob("*.py"):
        assert "wait_for(" not in file.read_text(), file


def test_files_stay_short() -> None:
    for folder, limit in ((SOURCE, 400), (ROOT / "tests", 600)):
        long = [str(f) for f in folder.rglob("*.py") if len(f.read_text().splitlines()) > limit]
        assert long == []


def test_the_security_address_is_one() -> None:
    """Wherever a page names whom to write to, it is the setting's."""
    address = Settings.model_fields["security_contact"].default
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {found for page in pages for found in re.findall(r"security@[\w.-]+\w", page.read_text())}
    assert named == {address}
    assert address in (ROOT / "SECURITY.md").read_text()
