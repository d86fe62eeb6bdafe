"""An end of a cable: a network interface whose packets a program reads and writes."""

import fcntl
import os
import struct

from engine.errors import SettingError

DEVICE = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


def open_tun(name: str) -> int:
    """A file descriptor that gives and takes one whole IP packet at a time and never blocks.

    The interface has this name, at most 15 letters, is down at first, and goes with the descriptor.
    Linux only: Documentation/networking/tuntap.rst. Raises SettingError.
    """
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK)
    except OSError as cannot:
        raise SettingError(f"a network of our own needs {DEVICE}: {cannot.strerror}") from None
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError as cannot:
        os.close(descriptor)
        raise SettingError(f"a network of our own needs root (CAP_NET_ADMIN): {cannot.strerror}") from None
    return descriptor
