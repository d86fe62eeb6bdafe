"""A network namespace from which one server is reached, through nothing but two descriptors."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from engine.errors import SettingError
from load_tests.network.tun import DEVICE, open_tun

NEEDS = "root, iproute2 and /dev/net/tun"
# For measuring networks (RFC 2544): nobody's addresses.
_FIRST_ADDRESS = IPv4Address("198.18.0.0")
_MTU = 1400
_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}


def can_be_made() -> bool:
    """Whether this machine and its user have what a network of our own needs."""
    return os.geteuid() == 0 and shutil.which("ip") is not None and Path(DEVICE).exists()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a namespace is, and the server's address as those in it have to call it."""

    name: str
    url: str

    def command(self, *command: str) -> list[str]:
        """The command that runs this one in there."""
        return ["ip", "netns", "exec", self.name, *command]


@dataclass(frozen=True, slots=True)
class Namespace:
    """Packets of the namespace come out of `inside`, those of this machine for it out of `outside`."""

    place: Place
    inside: int
    outside: int
    loopback: bytes | None
    """Address that stands for this machine's 127.0.0.1 in there, where the server listens on that."""

    @classmethod
    @contextmanager
    def make(cls, url: str) -> Iterator[Self]:
        """A namespace that lasts as long as the block. Raises SettingError."""
        if shutil.which("ip") is None:
            raise SettingError("a network of our own needs the program ip: apt install iproute2")
        if os.geteuid() != 0:
            raise SettingError("a network of our own needs root: run this with sudo")
        host, server = _server(url)
        number = os.getpid() % 2**15
        here, there = (str(_FIRST_ADDRESS + 4 * number + end) for end in (1, 2))
        name, device = f"moshi-load-{os.getpid()}", f"load{os.getpid()}"
        with ExitStack() as until_end:
            _ip("netns", "add", name)
            until_end.callback(_ip, "netns", "delete", name)
            outside = open_tun(device)
            until_end.callback(os.close, outside)
            inside = open_tun(f"{device}n")
            until_end.callback(os.close, inside)
            # To those inside it is what a laptop has.
            _ip("link", "set", f"{device}n", "netns", name, "name", "eth0")
            _ip("address", "add", here, "peer", there, "dev", device)
            _ip("-n", name, "address", "add", there, "peer", here, "dev", "eth0")
            _ip("link", "set", device, "mtu", str(_MTU), "up")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", "eth0", "mtu", str(_MTU), "up")
            _ip("-n", name, "route", "add", "default", "via", here)
            loopback = None
            if server.is_loopback:
                _write(f"/proc/sys/net/ipv4/conf/{device}/route_localnet", "1")
                loopback, url = socket.inet_aton(here), _with_host(url, here)
            else:
                until_end.enter_context(_name_known_in(name, host, server))
                if not _is_ours(server):
                    until_end.enter_context(_routed(device, there))
            yield cls(Place(name, url), inside, outside, loopback)


def _server(url: str) -> tuple[str, IPv4Address]:
    host = urlsplit(url).hostname or ""
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        raise SettingError(
            f"{host!r} of {url} has no IPv4 address: callers behind a network need one"
        ) from None
    return host, IPv4Address(found[0][4][0])


def _with_host(url: str, host: str) -> str:
    address = urlsplit(url)
    port = address.port or _PORTS.get(address.scheme, 80)
    return address._replace(netloc=f"{host}:{port}").geturl()


def _is_ours(address: IPv4Address) -> bool:
    """Whether it is one of this machine."""
    with socket.socket() as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


@contextmanager
def _name_known_in(namespace: str, host: str, address: IPv4Address) -> Iterator[None]:
    """`ip netns exec` shows what lies in this folder as /etc: a resolver may be out of reach in there."""
    folder = Path("/etc/netns") / namespace
    folder.mkdir(parents=True)
    try:
        (folder / "hosts").write_text(f"127.0.0.1 localhost\n{address} {host}\n")
        yield
    finally:
        shutil.rmtree(folder)


@contextmanager
def _routed(device: str, address: str) -> Iterator[None]:
    """Packets from `address` go out into the world as this machine's own."""
    if shutil.which("nft") is None:
        raise SettingError(
            "the server is on another machine: to pass its packets on needs nft: apt install nftables"
        )
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    before = forwarding.read_text()
    table = f"table ip {device}"
    chain = f"type nat hook postrouting priority srcnat; ip saddr {address} masquerade;"
    _run("nft", f"{table} {{ chain out {{ {chain} }}; }}")
    try:
        _write(str(forwarding), "1")
        yield
    finally:
        _write(str(forwarding), before)
        _run("nft", f"delete {table}")


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text)
    except OSError as cannot:
        raise SettingError(f"a network of our own needs to write {path}: {cannot.strerror}") from None


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SettingError(f"a network of our own: {' '.join(command)}: {done.stderr.strip()}")
