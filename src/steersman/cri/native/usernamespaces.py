"""Sandboxes with a user namespace of their own: the pause process of one, from outside. What runs inside is userchild.py.

Once the ids are mapped the namespace is known by its pause process: /proc/<pid>/ns/user.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import sys
from collections.abc import Sequence

from steersman.cri.messages import IdMapping
from steersman.cri.native import linux
from steersman.cri.native.entering import NOBODY, OPEN_NETWORK
from steersman.cri.native.namespaces import Wanted, pin_netns
from steersman.machinery.programs import Child, spawn

_IDMAPPED_SINCE = (5, 12)


def missing() -> str:
    """Why this machine can't have them, or ''."""
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    if found is not None and (int(found[1]), int(found[2])) < _IDMAPPED_SINCE:
        return "the kernel has no id-mapped mounts"
    try:
        with open("/proc/sys/user/max_user_namespaces") as file:
            return "" if int(file.read()) else "user.max_user_namespaces is 0"
    except FileNotFoundError:
        return "the kernel has no user namespaces"


def host_root(mappings: Sequence[IdMapping]) -> int:
    """Who root inside is outside."""
    return next(each.host_id for each in mappings if each.container_id == 0)


def make(wanted: Wanted, pause_root: str) -> int:
    """The pid of the pause process; blocks. Raises OSError."""
    flags = 0
    sysctls = dict(wanted.sysctls)
    if wanted.netns:
        flags |= linux.CLONE_NEWNET | linux.CLONE_NEWUTS
        # Groups that are not mapped can't be named.
        last = sum(each.length for each in wanted.id_mappings) - 1
        sysctls = {**OPEN_NETWORK, "net.ipv4.ping_group_range": f"0 {last}", **sysctls}
    if wanted.own_ipc:
        flags |= linux.CLONE_NEWIPC
    if wanted.shared_pid:
        flags |= linux.CLONE_NEWPID
    words = {
        "flags": flags,
        "pause_root": pause_root,
        "hostname": wanted.hostname,
        "sysctls": sysctls,
        "uid": NOBODY if wanted.uid is None else wanted.uid,
        "gid": NOBODY if wanted.gid is None else wanted.gid,
    }
    argv = [sys.executable, "-I", "-m", "steersman.cri.native.userchild", json.dumps(words)]
    told, tell = os.pipe2(os.O_CLOEXEC)
    heard, hear = os.pipe2(os.O_CLOEXEC)
    with open(tell, "wb", buffering=0) as go, open(heard, "rb", buffering=0) as answers:
        try:
            child = spawn(argv, stdin=told, stdout=hear, stderr=hear)
        finally:
            os.close(told)
            os.close(hear)
        try:
            rest = _converse(child, wanted, go, answers)
        except BaseException:
            Child(child).kill()
            raise
    if not rest:
        return child
    os.waitpid(child, 0)
    return int(rest)


def _converse(child: int, wanted: Wanted, go: io.FileIO, answers: io.FileIO) -> bytes:
    """Map the ids and pin what has a name once the namespaces are there; what was said after that. Raises OSError."""
    first = answers.read(1)
    if first != b"r":
        raise OSError(0, _words(first + answers.read()))
    lines = "".join(f"{each.container_id} {each.host_id} {each.length}\n" for each in wanted.id_mappings)
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{child}/{name}", "w") as file:
            file.write(lines)
    if wanted.netns:
        pin_netns(f"/proc/{child}/ns/net", wanted.netns)
    go.write(b"g")
    rest = answers.read()
    if rest and not rest.isdigit():
        raise OSError(0, _words(rest))
    return rest


def _words(text: bytes) -> str:
    return f"no user namespace: {text.decode(errors='replace').strip().removeprefix('!') or 'its process ended at once'}"
