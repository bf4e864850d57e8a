"""Why deployments end as they do: one table of codes, with what to do about each. The docs page is made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code says, and the remedy."""

    message: str
    hint: str
    shows: str = "Nothing."
    """What the evidence is."""


REASONS: Final[dict[str, Meaning]] = {
    "image_invalid": Meaning(
        "The image reference is not valid.",
        "Check the spelling of the reference.",
        "The reference, and what is wrong with it or with what the registry hands out.",
    ),
    "image_not_found": Meaning(
        "The registry has no such image.",
        "Check name and tag, and that the image was pushed before deploying.",
        "The reference; or the instance that could not fetch it, with the node's words.",
    ),
    "image_pull_denied": Meaning(
        "The registry refuses access to the image.",
        "Store a credential that may pull it (`kovra registries set`), or make the image public.",
        "The reference; or the instance that could not fetch it, with the node's words; and which credential was used.",
    ),
    "registry_role_refused": Meaning(
        "AWS does not let Kovra assume the role for the registry, or the role may not ask for a password.",
        "Check the role's trust policy (Kovra's account, your external id) and that it may ecr:GetAuthorizationToken.",
        "What AWS said.",
    ),
    "image_too_large": Meaning(
        "The image is larger than the platform copies.",
        "Make it smaller: fewer files, a smaller base image, or several stages in its Dockerfile.",
        "The image, how much it has, and how much it may have.",
    ),
    "image_vanished": Meaning(
        "The registry took the image away while it was being copied.",
        "Push it again, then deploy again.",
        "The image, and what was missing.",
    ),
    "mirror_refused": Meaning(
        "The platform's mirror does not take the image.",
        "Deploy again; contact the platform if it persists.",
        "The image, and what the mirror said.",
    ),
    "mirror_full": Meaning(
        "The platform's mirror has no room for the image.",
        "Contact the platform; or delete apps that are not needed.",
        "The image.",
    ),
    "mirror_unavailable": Meaning(
        "The platform's mirror does not answer.", "Deploy again when the mirror is back.", "What it waited for."
    ),
    "image_user_not_allowed": Meaning(
        "The image runs as root or as a named user.",
        "Set a numeric USER in the Dockerfile, or run_as_user on the process.",
        "The image's user, and the processes that name none.",
    ),
    "registry_unavailable": Meaning(
        "The registry does not answer.", "Try again when the registry is back.", "What it waited for."
    ),
    "config_invalid": Meaning(
        "The container could not be created from its configuration.",
        "See the evidence; check command and user.",
        "The instance, with the node's words.",
    ),
    "value_unreadable": Meaning(
        "A config var or secret could not be opened.",
        "Set the value again; if it persists, contact the platform.",
        "Whether the value or its key is the matter.",
    ),
    "quota_exceeded": Meaning(
        "The environment's quota does not allow this.",
        "Use fewer or smaller instances, or a larger plan.",
        "The cluster's words: which limit, what was asked for, what is used.",
    ),
    "admission_refused": Meaning(
        "The cluster refused an object.", "See the evidence; contact the platform if unclear.", "The cluster's words."
    ),
    "unschedulable": Meaning(
        "No node has room for an instance.",
        "Use a smaller size or fewer instances.",
        "The instance, with the scheduler's words.",
    ),
    "release_command_failed": Meaning(
        "The release command failed.",
        "See its last lines; nothing was rolled out, the previous release keeps serving.",
        "Its exit code, or that it ran too long; its last 30 lines.",
    ),
    "crash_loop": Meaning(
        "An instance keeps exiting.",
        "See exit code and last lines; run the image locally.",
        "The instance, its exit code, how often it was started anew; its last 30 lines.",
    ),
    "out_of_memory": Meaning(
        "An instance used more memory than its size has.",
        "Choose a larger size, or use less.",
        "The instance, how often it was started anew; its last 30 lines.",
    ),
    "canary_needs_gateway": Meaning(
        "Canary steps need Gateway API routes, and this installation's are Ingresses.",
        "Set the app environment's `rollout` to rolling.",
    ),
    "never_ready": Meaning(
        "The instances started and never became ready.",
        "Check that the app listens on $PORT and its health check.",
        "Each instance with its state; the last 30 lines of the first.",
    ),
    "deadline_exceeded": Meaning(
        "The deployment took longer than allowed.", "See the evidence for what it waited for.", "What it waited for."
    ),
    "cluster_unreachable": Meaning(
        "The cluster did not answer in time.", "Deploy again when the cluster is back.", "What it waited for."
    ),
    "cluster_denied": Meaning(
        "The cluster refuses Kovra's own credentials.",
        "The platform's operators are alerted.",
        "That Kovra's credentials were refused.",
    ),
    "secrets_not_encrypted": Meaning(
        "The cluster is not known to encrypt Secrets, and no owner has consented to writing them there.",
        "An owner consents with PATCH /v1/clusters/{id}, or the cluster gets envelope encryption and is checked again.",
        "That nothing was written.",
    ),
    "superseded_by": Meaning("A newer deployment took its place.", "Nothing to do."),
    "canceled_by": Meaning("It was canceled.", "Deploy again when you are ready."),
    "nothing_changed": Meaning(
        "What serves already is what was asked for.", "Restart it if you want new instances of the same release."
    ),
    "gone": Meaning("The app or the environment was deleted meanwhile.", "Restore it, then deploy again."),
    "internal": Meaning("Kovra failed; this is not your fault.", "Deploy again; contact the platform if it persists."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A reason with its evidence."""

    code: str
    phase: str
    evidence: tuple[str, ...] = ()
    message: str | None = None

    def with_evidence(self, line: str) -> Reason:
        """The same, with one more line."""
        return replace(self, evidence=(*self.evidence, line))

    def document(self) -> dict[str, Any]:
        """As it is stored and shown."""
        meaning = REASONS[self.code]
        return {
            "code": self.code,
            "phase": self.phase,
            "message": self.message or meaning.message,
            "hint": meaning.hint,
            "evidence": list(self.evidence),
        }


def reason(code: str, phase: str, evidence: Sequence[str] = (), message: str | None = None) -> Reason:
    """A reason whose code is in the table; evidence is bounded here."""
    if code not in REASONS:
        raise KeyError(code)
    return Reason(code=code, phase=phase, evidence=tuple(line[:2000] for line in evidence[:60]), message=message)


COPIED: Final = "It runs from the platform's mirror, which was asked as the platform."
"""The evidence where a copy is pulled."""


def asked_with(registry: str, credential: str | None) -> str:
    """The evidence of whether a registry was asked with a credential of the organization's, by its id."""
    if credential is None:
        return f"The organization has no credential for {registry}."
    return f"Asked with the organization's credential {credential} for {registry}."
