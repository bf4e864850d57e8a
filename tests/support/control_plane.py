"""A control plane from the binaries in KUBEBUILDER_ASSETS (the convention of controller-runtime's envtest): etcd and
kube-apiserver, and the controllers and the scheduler where they are there too. No node: pods stay Pending.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kovra.foundation.db.embedded import die_with_parent, free_port

READY_S = 90.0
_ADMIN, _CONTROLLERS, _SCHEDULER = 0, 1, 2


class ControlPlane:
    """Runs while the block lasts; its folder goes with it."""

    def __init__(self, assets: Path, folder: Path) -> None:
        self._assets, self._folder = assets, folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._tokens = [secrets.token_hex(16) for _ in range(3)]
        self._port = free_port()
        self.has_controllers = (assets / "kube-controller-manager").exists()

    def start(self) -> Path:
        """Start everything; returns the administrator's kubeconfig."""
        self._keys()
        client, peer = free_port(), free_port()
        etcd, peers = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        self._run(
            "etcd", f"--data-dir={self._folder}/etcd", f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}", "--unsafe-no-fsync",
        )  # fmt: skip
        self._run(
            "kube-apiserver", f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", f"--secure-port={self._port}",
            f"--cert-dir={self._folder}/certs", f"--token-auth-file={self._folder}/tokens.csv",
            "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._folder}/accounts.pub",
            f"--service-account-signing-key-file={self._folder}/accounts.key",
        )  # fmt: skip
        self._until_ready()
        if self.has_controllers:
            self._run(
                "kube-controller-manager", f"--kubeconfig={self._kubeconfig('controllers', _CONTROLLERS)}",
                f"--secure-port={free_port()}", "--bind-address=127.0.0.1", "--leader-elect=false",
                "--use-service-account-credentials=true",
                f"--service-account-private-key-file={self._folder}/accounts.key",
            )  # fmt: skip
        if (self._assets / "kube-scheduler").exists():
            self._run(
                "kube-scheduler", f"--kubeconfig={self._kubeconfig('scheduler', _SCHEDULER)}",
                f"--secure-port={free_port()}", "--bind-address=127.0.0.1", "--leader-elect=false",
            )  # fmt: skip
        return self._kubeconfig("admin", _ADMIN)

    def stop(self) -> None:
        """End everything at once: its data is thrown away."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def _keys(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self._folder / "accounts.key").write_bytes(private)
        (self._folder / "accounts.pub").write_bytes(public)
        users = ("admin,admin,system:masters", "system:kube-controller-manager,c,", "system:kube-scheduler,s,")
        lines = [f"{token},{user}" for token, user in zip(self._tokens, users, strict=True)]
        (self._folder / "tokens.csv").write_text("\n".join(line.rstrip(",") for line in lines) + "\n")

    def _run(self, name: str, *flags: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    [self._assets / name, *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True, preexec_fn=die_with_parent,
                )
            )  # fmt: skip

    def _until_ready(self) -> None:
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            dead = [p.args for p in self._processes if p.poll() is not None]
            assert not dead, (dead, self._tails())
            with contextlib.suppress(OSError, urllib.error.URLError):
                if self._get("/readyz") == b"ok":
                    return
            time.sleep(0.1)
        raise AssertionError(self._tails())

    def _get(self, path: str) -> bytes:
        authority = self._folder / "certs" / "apiserver.crt"
        handlers = (
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(authority))),
        )
        headers = {"Authorization": f"Bearer {self._tokens[_ADMIN]}"}
        request = urllib.request.Request(f"https://127.0.0.1:{self._port}{path}", headers=headers)
        with urllib.request.build_opener(*handlers).open(request, timeout=3) as answer:
            return bytes(answer.read())

    def _tails(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-800:]}" for log in self._folder.glob("*.log"))

    def _kubeconfig(self, name: str, user: int) -> Path:
        path = self._folder / f"{name}.kubeconfig"
        cluster = {
            "server": f"https://127.0.0.1:{self._port}",
            "certificate-authority": str(self._folder / "certs" / "apiserver.crt"),
        }
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": self._tokens[user]}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "current-context": "test",
        }
        path.write_text(json.dumps(document))
        return path


@contextlib.contextmanager
def control_plane(assets: Path) -> Iterator[Path]:
    """The kubeconfig of a fresh control plane."""
    folder = Path(tempfile.mkdtemp(prefix="kovra-control-plane-"))
    plane = ControlPlane(assets, folder)
    try:
        yield plane.start()
    finally:
        plane.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def real_cluster() -> Iterator[Path | None]:
    """The kubeconfig of the cluster the environment names, or of one made from KUBEBUILDER_ASSETS; None without both."""
    if named := os.environ.get("KOVRA_TEST_KUBECONFIG"):
        yield Path(named)
    elif assets := os.environ.get("KUBEBUILDER_ASSETS"):
        with control_plane(Path(assets)) as kubeconfig:
            yield kubeconfig
    else:
        yield None
