"""Being a good guest in a pipeline: one deployment per run, folded progress, a summary people find.

GitHub: docs.github.com/actions/reference/workflow-commands-for-github-actions (groups, stop-commands, step summaries).
GitLab: docs.gitlab.com/ci/jobs/job_logs (collapsible sections).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kovra.entrypoints.cli.output import harmless

TRIES: Final = 9
"""Nobody sits before a pipeline: an API that is replaced meanwhile is waited for, for about a minute, at each call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Where this command runs."""

    kind: str
    """``github``, ``gitlab``, ``other`` (KOVRA_RUN_ID is set), or nothing."""
    run: str = ""
    """Names this run, and this attempt of it: a job that is run again by a person deploys again."""
    summary: Path | None = None
    """What is appended here is shown with the run, as Markdown."""

    def key(self, call: str, body: Mapping[str, Any]) -> str | None:
        """The idempotency key of a call: the same for every try within one run; None outside of pipelines."""
        if not self.run:
            return None
        text = json.dumps([self.kind, self.run, call, body], sort_keys=True)
        return f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()}"

    @contextmanager
    def folded(self, title: str) -> Iterator[None]:
        """What is written to stderr meanwhile is one group of the log."""
        name = f"kovra_{secrets.token_hex(4)}"
        if self.kind == "github":
            sys.stderr.write(f"::group::{title}\n")
        elif self.kind == "gitlab":
            sys.stderr.write(f"\x1b[0Ksection_start:{int(time.time())}:{name}[collapsed=true]\r\x1b[0K{title}\n")
        try:
            yield
        finally:
            if self.kind == "github":
                sys.stderr.write("::endgroup::\n")
            elif self.kind == "gitlab":
                sys.stderr.write(f"\x1b[0Ksection_end:{int(time.time())}:{name}\r\x1b[0K\n")

    @contextmanager
    def quoted(self) -> Iterator[None]:
        """What is written meanwhile comes from an app, and commands nobody: GitHub obeys lines of a log."""
        token = secrets.token_hex(16)
        if self.kind == "github":
            sys.stderr.write(f"::stop-commands::{token}\n")
            sys.stderr.flush()
        try:
            yield
        finally:
            sys.stdout.flush()
            if self.kind == "github":
                sys.stderr.write(f"::{token}::\n")

    def annotate(self, text: str) -> None:
        """Say it where people look first: at the top of the run, on GitHub."""
        if self.kind == "github":
            safe = harmless(text.replace("\n", " ")).replace("%", "%25")
            sys.stderr.write(f"::error title=kovra::{safe}\n")
            sys.stderr.flush()

    def summarize(self, app: str, environment: str, deployment: Mapping[str, Any]) -> None:
        """Append the verdict to the run's summary, where there is one; a failure is an annotation as well."""
        reason = deployment["reason"]
        if reason and deployment["outcome"] == "failed":
            self.annotate(f"{app} → {environment} failed: {reason['code']}: {reason['message']} {reason['hint']}")
        if self.summary is not None:
            with self.summary.open("a", encoding="utf-8") as file:
                file.write(summary(app, environment, deployment))


def pipeline(environment: Mapping[str, str] = os.environ) -> Pipeline:
    """The pipeline this process runs in, by the variables each sets."""
    get = environment.get
    if get("GITHUB_ACTIONS") == "true":
        run = "/".join(get(f"GITHUB_{name}", "") for name in ("REPOSITORY", "RUN_ID", "RUN_ATTEMPT", "JOB"))
        where = get("GITHUB_STEP_SUMMARY")
        return Pipeline(kind="github", run=run, summary=Path(where) if where else None)
    if get("GITLAB_CI") == "true":
        return Pipeline(kind="gitlab", run=f"{get('CI_PROJECT_ID', '')}/{get('CI_JOB_ID', '')}")
    named = get("KOVRA_RUN_ID", "")
    return Pipeline(kind="other" if named else "", run=named)


def summary(app: str, environment: str, deployment: Mapping[str, Any]) -> str:
    """The verdict as Markdown."""
    release, reason = deployment["release"], deployment["reason"]
    outcome = deployment["outcome"] or f"still {deployment['phase']}"
    lines = [
        f"### {app} → {environment}: {outcome}",
        "",
        "| | |",
        "| --- | --- |",
        f"| deployment | `{deployment['id']}` |",
    ]
    if release:
        lines += [f"| release | {release['number']} |", f"| image | `{_cell(release['image'])}` |"]
    if reason:
        lines += [
            f"| reason | `{reason['code']}`: {_cell(reason['message'])} |",
            f"| what to do | {_cell(reason['hint'])} |",
        ]
    if reason and reason["evidence"]:
        fence = "`" * max(3, 1 + max(_run_of_ticks(line) for line in reason["evidence"]))
        lines += ["", fence, *(harmless(line) for line in reason["evidence"]), fence]
    return "\n".join(lines) + "\n\n"


def _cell(text: str) -> str:
    return harmless(text).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _run_of_ticks(line: str) -> int:
    longest = run = 0
    for character in line:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest
