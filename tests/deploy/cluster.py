"""A Kubernetes API server of our own, with its etcd. There is no node: nothing runs, all else is real."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.chart import ROOT, tools
from tests.end_to_end.processes import free_port, running, wait_for

APISERVER = ROOT / "bin/kube-apiserver"


@dataclass(frozen=True, slots=True)
class Cluster:
    """An API server, and how its administrator talks to it."""

    kubeconfig: Path

    def kubectl(self, *arguments: str | Path, given: str | None = None) -> "subprocess.CompletedProcess[str]":
        """What kubectl did, with `given` on its standard input."""
        command = [str(tools("helm") / "bin/kubectl"), *map(str, arguments)]
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run(
            command, env=environment, input=given, capture_output=True, text=True, timeout=100
        )

    def get(self, *arguments: str) -> str:
        """What `kubectl get` shows."""
        done = self.kubectl("get", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster with nothing in it. Skips where its programs are not: this stage is optional."""
    for program, how in ((APISERVER, "make kubernetes"), ("etcd", "apt install etcd-server")):
        if shutil.which(program) is None:
            pytest.skip(f"a real API server needs {Path(program).name}: {how}")
    etcd_port, peer_port, port = free_port(), free_port(), free_port()
    etcd_url, peer_url = f"http://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{peer_port}"
    for name, command in (("key", ["genrsa", "-out"]), ("pub", ["rsa", "-in", "sa.key", "-pubout", "-out"])):
        subprocess.run(["openssl", *command, f"sa.{name}"], cwd=folder, check=True, capture_output=True)
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    etcd = running(
        [
            *("etcd", "--name=test", f"--data-dir={folder}/etcd", "--unsafe-no-fsync"),
            *(f"--listen-client-urls={etcd_url}", f"--advertise-client-urls={etcd_url}"),
            *(f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}"),
            f"--initial-cluster=test={peer_url}",
        ],
        folder / "etcd.log",
    )
    apiserver = running(
        [
            *(str(APISERVER), f"--etcd-servers={etcd_url}", f"--cert-dir={folder}/certificates"),
            *("--bind-address=127.0.0.1", f"--secure-port={port}", f"--token-auth-file={folder}/tokens.csv"),
            *("--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc"),
            *(f"--service-account-key-file={folder}/sa.pub", "--service-cluster-ip-range=10.96.0.0/24"),
            *(f"--service-account-signing-key-file={folder}/sa.key", "--endpoint-reconciler-type=none"),
            # What makes them is a controller, and there is none.
            "--disable-admission-plugins=ServiceAccount",
        ],
        folder / "apiserver.log",
    )
    with etcd, apiserver as server:
        ours = Cluster(folder / "kubeconfig")
        for words in (
            *(("set-cluster", "test", f"--server=https://127.0.0.1:{port}", "--insecure-skip-tls-verify"),),
            ("set-credentials", "admin", f"--token={token}"),
            ("set-context", "test", "--cluster=test", "--user=admin"),
            ("use-context", "test"),
        ):
            assert ours.kubectl("config", *words).returncode == 0
        wait_for(server, lambda: ours.kubectl("get", "--raw", "/readyz").stdout == "ok")
        yield ours
