"""Who a container runs as: the image's or the pod's user, looked up in the container's own /etc/passwd and /etc/group.

Source: OCI image spec `config.User` ("user", "uid", "user:group", ...), CRI's run_as_user, run_as_username, run_as_group.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import Security
from steersman.cri.native import linux

_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Identity:
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def read_inside(rootfs: str, path: str) -> str:
    """A text file of the container's root file system, symbolic links resolved inside it; "" if there is none."""
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = linux.openat2(root, path, os.O_PATH, linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_MAGICLINKS)
    except OSError:
        return ""
    finally:
        os.close(root)
    try:
        # Looked at before it is opened: an image may have a pipe there, or one of the host's devices.
        if not stat.S_ISREG(os.fstat(found).st_mode):
            return ""
        with open(f"/proc/self/fd/{found}", "rb") as file:
            return file.read(_LIMIT).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(found)


def resolve_user(security: Security, image_user: str, read: Callable[[str], str]) -> Identity:
    """`read` gives the text of a file of the container. Raises RuntimeFault for names that are not in its files."""
    user, _, group = image_user.partition(":")
    if security.run_as_user is not None:
        user, group = str(security.run_as_user), ""
    elif security.run_as_username:
        user, group = security.run_as_username, ""
    if security.run_as_group is not None:
        group = str(security.run_as_group)
    accounts = [entry for entry in _entries(read("etc/passwd"), 6) if _is_id(entry[2]) and _is_id(entry[3])]
    groups = [entry for entry in _entries(read("etc/group"), 4) if _is_id(entry[2])]
    user = user or "0"
    account = next((entry for entry in accounts if entry[0] == user or entry[2] == user), None)
    if account is None and not user.isdecimal():
        raise RuntimeFault(f"unable to find user {user}: no matching entries in passwd file")
    uid = int(account[2]) if account else int(user)
    gid = int(account[3]) if account else 0
    if group:
        entry = next((entry for entry in groups if entry[0] == group or entry[2] == group), None)
        if entry is None and not group.isdecimal():
            raise RuntimeFault(f"unable to find group {group}: no matching entries in group file")
        gid = int(entry[2]) if entry else int(group)
    # Memberships count beside an explicit group too, unless the pod will have none but its own.
    listed = [] if account is None or security.strict_groups else [entry for entry in groups if account[0] in entry[3].split(",")]
    member = [int(entry[2]) for entry in listed]
    # The primary group comes first: a process may drop it by setgid, and must not gain what its group is denied (CVE-2023-25173).
    every = tuple(dict.fromkeys([gid, *member, *security.supplemental_groups]))
    return Identity(uid, gid, every, account[5] if account and account[5] else "/")


def _entries(text: str, fields: int) -> list[list[str]]:
    return [entry for line in text.splitlines() if len(entry := line.split(":")) >= fields]


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < 1 << 32
