"""What fields and path parameters mean whose name means the same everywhere, for those that say nothing themselves."""

from __future__ import annotations

from typing import Any, Final

_EVERYWHERE: Final[dict[str, str]] = {
    "actor": "Who did it: the id of a person or an api token, or `system`.",
    "app_environment_id": "The app environment it belongs to.",
    "app_id": "The app it belongs to.",
    "created_at": "When it was made.",
    "data": "The objects of this page.",
    "deleted_at": "When it was deleted; null: it is not.",
    "digest": "What the image's tag stood for when the release was written.",
    "environment_id": "The environment it belongs to.",
    "expires_at": "When it ends.",
    "has_more": "Whether there is another page.",
    "id": "Its id, for ever.",
    "name": "For people to read.",
    "next": "The `cursor` of the next page; null: there is none.",
    "object": "What kind of object this is.",
    "permissions": "Everything it may do.",
    "process": "A process of the app.",
    "project_id": "The project it belongs to.",
    "purge_at": "Until then it can be restored; null: it is not deleted.",
    "slug": "For people to type; unique among its like.",
    "updated_at": "When it last changed.",
}
_NARROWED: Final[dict[str, str]] = {
    "project_id": "Reaches this project alone; null: all.",
    "app_id": "Reaches this app alone; null: all.",
    "environment_id": "Reaches this environment alone; null: all.",
}
_BY_SCHEMA: Final[dict[str, dict[str, str]]] = {
    "ClusterOut": {"report": "What the last look found."},
    "NarrowingOut": _NARROWED,
    "TokenCreatedOut": _NARROWED,
    "TokenOut": _NARROWED,
    "SecretOut": {"name": "The name of the environment variable."},
    "RoleOut": {"name": "`owner`, `admin`, `member` or `viewer`."},
    "SecretsOut": {"data": "Those that the newest config revision names."},
    "EventOut": {
        "app_id": "null: it is about no single app.",
        "environment_id": "null: it is about no single environment.",
    },
    "EventsOut": {"data": "Facts, oldest first."},
    "LogPage": {"data": "Lines, oldest first."},
}
_PATHS: Final[dict[str, str]] = {
    "app_environment_id": "The id of an app environment.",
    "app_id": "The id of an app.",
    "change_set_id": "The id of a change set.",
    "code": "The `code` of a problem.",
    "cron_job_id": "The id of a cron job.",
    "deployment_id": "The id of a deployment.",
    "environment_id": "The id of an environment.",
    "isolation_proof_id": "The id of a proof of isolation.",
    "member_id": "The id of a membership.",
    "name": "The name of a secret.",
    "project_id": "The id of a project.",
    "release_id": "The id of a release.",
    "run_id": "The id of a run.",
    "session_id": "The id of a login.",
    "token_id": "The id of an api token.",
    "credential_id": "The id of the registry credential.",
    "cluster_id": "The cluster (`clu_…`).",
    "volume_id": "The id of the volume.",
}


def explain(document: dict[str, Any]) -> None:
    """Describe what is not described: in the schemas, and in the paths."""
    for name, schema in document["components"]["schemas"].items():
        for key, field in schema.get("properties", {}).items():
            text = _BY_SCHEMA.get(name, {}).get(key) or _EVERYWHERE.get(key)
            if text and "description" not in field:
                field["description"] = text
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter.get("in") == "path":
                    parameter.setdefault("description", _PATHS[parameter["name"]])
