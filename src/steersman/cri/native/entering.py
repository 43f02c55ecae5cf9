"""What the pause process's surroundings are made of, done by whoever is about to become it: a thread of ours (namespaces.py), or
the small process that a user namespace needs (userchild.py). Imports little: that process starts with every such sandbox.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from steersman.cri.native import linux

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
NOBODY = 65535
OPEN_NETWORK = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
"""What containerd 2 also gives every pod with its own network: low ports and ping need no capability."""


def enter_empty_root(pause_root: str) -> None:
    """A mount namespace with nothing but the pause program: whoever shares the PID namespace cannot reach the host through
    /proc/1/root."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    linux.mount(pause_root, pause_root, flags=linux.MS_BIND)
    linux.mount("", pause_root, flags=linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV)
    os.chdir(pause_root)
    linux.pivot_root(".", ".")
    linux.umount(".")


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
