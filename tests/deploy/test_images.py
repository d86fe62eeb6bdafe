"""The container images, built for real without Docker and run as they are meant to be.

On a Debian of our own in place of the published bases, which cannot be had everywhere. The engine gets the
requirements of the worker, which are its own without PyTorch: some gigabytes less.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lacking import lacking

ROOT = Path(__file__).parents[2]
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
BASE = "localhost/base:test"
PROGRAMS = ("buildah", "crun", "mmdebstrap", "unshare", "setpriv", "npm")
IMAGES = {"worker": (), "engine": ("--build-arg=REQUIREMENTS=worker.txt",)}

# As compose.yaml and the Helm chart run it: root read-only, no capability, nobody's user.
_AS_DEPLOYED = """
root=$1; shift
mount --bind "$root" "$root" && mount -o remount,bind,ro "$root"
for folder in tmp data run/moshi; do
    mount -t tmpfs -o noexec,nosuid,mode=0700,uid=10001,gid=10001 tmpfs "$root/$folder"
done
mount --rbind /dev "$root/dev" && mount -t proc proc "$root/proc"
exec chroot --userspec=10001:10001 "$root" setpriv --no-new-privs "$@"
"""


@pytest.fixture(scope="module", autouse=True)
def _wanted() -> None:
    if not os.environ.get("IMAGES"):
        pytest.skip("building images takes minutes: make images")
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        lacking(f"building images takes {', '.join(missing)}")
    if os.geteuid() != 0 or not SOURCES.exists():
        pytest.skip("building images takes root on Debian")


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Runs buildah with a store of its own."""
    store = tmp_path_factory.mktemp("images")
    driver = os.environ.get("STORAGE_DRIVER", "overlay")
    own = ("--root", str(store / "store"), "--runroot", str(store / "run"), "--storage-driver", driver)

    def run(command: str, *arguments: str | Path) -> str:
        done = subprocess.run(
            ["buildah", *own, command, *arguments], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, f"buildah {command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout.strip()

    yield run
    run("rm", "--all")
    run("rmi", "--all", "--force")


@contextmanager
def container(buildah: Callable[..., str], image: str) -> Iterator[Path]:
    """The root file system of a container that is gone afterwards."""
    name = buildah("from", "--pull-never", image)
    try:
        yield Path(buildah("mount", name))
    finally:
        buildah("umount", name)
        buildah("rm", name)


@pytest.fixture(scope="module")
def base(buildah: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Debian with Python and Node.js that trusts whom this machine trusts."""
    tar = tmp_path_factory.mktemp("base") / "base.tar"
    packages = "ca-certificates,python3-minimal,python3-venv"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", "bookworm", tar, SOURCES],
        check=True,
    )
    name = buildah("from", "scratch")
    buildah("add", name, tar, "/")
    npm = Path(shutil.which("npm") or "").resolve().parents[1]
    for source, target in ((Path(shutil.which("node") or "").resolve(), "/usr/bin/node"), (npm, "/opt/npm")):
        buildah("copy", name, source, target)
    buildah("copy", name, CERTIFICATES, str(CERTIFICATES))
    buildah("run", "--isolation", "chroot", name, "ln", "-s", "/opt/npm/bin/npm-cli.js", "/usr/bin/npm")
    for variable in ("PIP_CERT", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"):
        buildah("config", "--env", f"{variable}={CERTIFICATES}", name)
    buildah("commit", "--rm", name, BASE)
    return BASE


@pytest.fixture(scope="module", params=IMAGES)
def image(request: pytest.FixtureRequest, buildah: Callable[..., str], base: str) -> tuple[str, str]:
    """Which of the two, and what it is called now."""
    part: str = request.param
    buildah(
        "bud",
        *("--isolation", "chroot", "--network", "host", "--pull-never", "--format", "docker"),
        *(f"--build-arg=BASE_IMAGE={base}", f"--build-arg=NODE_IMAGE={base}", *IMAGES[part]),
        *("--file", f"deploy/docker/{part}.Dockerfile", "--tag", f"localhost/{part}:test", "."),
    )
    return part, f"localhost/{part}:test"


def as_deployed(root: Path, environment: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "bash", "-euc", _AS_DEPLOYED, "_", root, *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def config_of(buildah: Callable[..., str], image: str) -> dict[str, Any]:
    inspected = json.loads(buildah("inspect", "--type", "image", image))
    config: dict[str, Any] = inspected["OCIv1"]["config"]
    return config


def test_an_image_runs_as_it_is_deployed(buildah: Callable[..., str], image: tuple[str, str]) -> None:
    part, name = image
    config = config_of(buildah, name)
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["python", "-m", part]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    environment = dict(item.split("=", 1) for item in config["Env"])
    with container(buildah, name) as root:

        def run(*command: str) -> "subprocess.CompletedProcess[str]":
            return as_deployed(root, environment, *command)

        helped = run(*config["Entrypoint"], "--help")
        assert helped.returncode == 0, helped.stderr
        assert config["Cmd"][0] in helped.stdout
        who = run("python", "-c", "import os; print(os.getuid(), os.getgid(), os.environ['HOME'])")
        assert who.stdout.split() == ["10001", "10001", "/tmp"]
        for folder, writable in {"/tmp": True, "/data": True, "/run/moshi": True, "/app": False}.items():
            tried = run("python", "-c", f"open('{folder}/file', 'w')")
            assert (tried.returncode == 0) == writable, (folder, tried.stderr)
        version = run("python", "-c", "import importlib.metadata as m; print(m.version('moshi-live'))")
        assert version.stdout.strip() == config["Labels"]["org.opencontainers.image.version"]
        nothing_built = run(
            "python", "-c", "import pathlib; print(*pathlib.Path('/app').rglob('node_modules'))"
        )
        assert nothing_built.stdout.strip() == ""
        weights = [file for file in (root / "data").rglob("*") if file.is_file()]
        assert weights == []
        if part == "worker":
            assert (root / "app" / "worker" / "page" / "dist" / "index.html").exists()
            assert run("python", "-c", "import torch").returncode != 0
            # It gets as far as to look for a LiveKit server: all that it imports is there.
            started = run(*config["Entrypoint"], *config["Cmd"])
            assert started.returncode == 2
            assert "no LiveKit server answers" in started.stderr
        else:
            # What Triton compiles with.
            headers = run("sh", "-c", "echo '#include <Python.h>' | gcc -E $(python3-config --includes) -")
            assert headers.returncode == 0, headers.stderr
            refused = as_deployed(
                root, {**environment, "ENGINE_HOST": "0.0.0.0"}, *config["Entrypoint"], *config["Cmd"]
            )
            assert refused.returncode == 2
            assert "ENGINE_TOKEN" in refused.stderr
