"""`kovra clusters`: the organization's own clusters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kovra.client import ApiRefused
from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.named import Form
from kovra.entrypoints.cli.output import Output, show, table

if TYPE_CHECKING:
    from kovra.client import Client
    from kovra.client.models import ClusterOut

clusters = typer.Typer(help="Clusters of your own.", no_args_is_help=True)
Named = Annotated[str, typer.Argument(help="The cluster's slug or id.")]
File = Annotated[str, typer.Argument(help="A kubeconfig; - reads it from stdin.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.add_typer(clusters, name="clusters")


def _find(client: Client, named: str) -> ClusterOut:
    for cluster in client.iter_clusters(limit=200):
        if named in (cluster["slug"], cluster["id"]):
            return cluster
    raise ApiRefused(404, {"detail": f"There is no cluster {named}.", "hint": "What there is: kovra clusters list"})


def _read(file: str) -> str:
    try:
        return sys.stdin.buffer.read().decode() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError):
        raise typer.BadParameter("The kubeconfig cannot be read.") from None


def _told(cluster: ClusterOut) -> str:
    lines = [f"{cluster['slug']}  {cluster['health']}  {cluster['id']}"]
    if cluster["health_reason"]:
        lines.append(cluster["health_reason"])
    if cluster["encrypts_secrets"] != "yes" and not cluster["accept_unencrypted_secrets"]:
        lines.append("Secrets are not written there: an owner must consent (kovra clusters consent).")
    eks = cluster["eks"]
    if eks is not None:
        lines.append(f"The trust policy of {eks['role_arn']} must ask for sts:ExternalId {eks['external_id']}")
    return "\n".join(lines)


@clusters.command("list")
def clusters_list(output: Form = Output.text) -> None:
    """What clusters there are, and how they are."""
    rows = list(kept.connect().iter_clusters(limit=200))
    show(rows, output, table(rows, "slug", "kind", "health", "health_since", "id"))


@clusters.command("show")
def clusters_show(cluster: Named, output: Form = Output.text) -> None:
    """One cluster: its health, and what is wrong."""
    client = kept.connect()
    found = client.get_cluster(_find(client, cluster)["id"])
    show(found, output, _told(found))


@clusters.command("add")
def clusters_add(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    kubeconfig: File,
    domain: Annotated[str | None, typer.Option("--domain", help="Apps placed there get names below it.")] = None,
    routing: Annotated[str, typer.Option("--routing", help="gateway or ingress.")] = "gateway",
    output: Form = Output.text,
) -> None:
    """Register a cluster by a kubeconfig with a static token or client certificate data."""
    if routing not in ("gateway", "ingress"):
        raise typer.BadParameter("--routing is gateway or ingress.")
    made = kept.connect().register_cluster(
        {
            "name": name,
            "kubeconfig": _read(kubeconfig),
            "apps_domain": domain,
            "routing": "ingress" if routing == "ingress" else "gateway",
        }
    )
    show(made, output, _told(made))


@clusters.command("add-eks")
def clusters_add_eks(
    name: Annotated[str, typer.Argument(help="What to call it, and its name in EKS.")],
    role: Annotated[str, typer.Option("--role", help="The ARN of the role that Kovra is to assume.")],
    region: Annotated[str, typer.Option("--region", help="Where it is.")],
    output: Form = Output.text,
) -> None:
    """Register an EKS cluster by a role; says which external id the role's trust policy must ask for."""
    eks = {"cluster": name, "region": region, "role_arn": role}
    made = kept.connect().register_cluster({"name": name, "eks": {**eks}})  # type: ignore[typeddict-item]
    show(made, output, _told(made))


@clusters.command("credentials")
def clusters_credentials(cluster: Named, kubeconfig: File, output: Form = Output.text) -> None:
    """Replace a cluster's credentials by those of a kubeconfig."""
    client = kept.connect()
    made = client.update_cluster(_find(client, cluster)["id"], {"kubeconfig": _read(kubeconfig)})
    show(made, output, _told(made))


@clusters.command("check")
def clusters_check(cluster: Named, output: Form = Output.text) -> None:
    """Have a cluster looked at now."""
    client = kept.connect()
    found = client.check_cluster(_find(client, cluster)["id"])
    show(found, output, f"{found['slug']} is being looked at; see kovra clusters show {found['slug']}")


@clusters.command("consent")
def clusters_consent(
    cluster: Named,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the consent back.")] = False,
    output: Form = Output.text,
) -> None:
    """As an owner, let secrets be written to a cluster that is not known to encrypt them at rest."""
    client = kept.connect()
    made = client.update_cluster(_find(client, cluster)["id"], {"accept_unencrypted_secrets": not withdraw})
    show(made, output, _told(made))


@clusters.command("remove")
def clusters_remove(cluster: Named, output: Form = Output.text) -> None:
    """Forget a cluster that no environment is on."""
    client = kept.connect()
    found = _find(client, cluster)
    client.remove_cluster(found["id"])
    show({"id": found["id"], "removed": True}, output, f"{found['slug']} is forgotten, with its credentials")
