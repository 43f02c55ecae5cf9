"""The process that becomes the pause process of a pod with a user namespace of its own (KEP-127); started by usernamespaces.py.

Only a process with a single thread may enter a new user namespace, and the pod's other namespaces must be made inside it to
belong to it: so no thread of the kubelet can do this. A line of JSON comes as the only argument. It answers `r` once the
namespaces are made, waits until its ids are mapped and one byte has come, and ends its output by becoming the pause program;
before that it writes the pid of its child, if that is the one, or `!` and what went wrong.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

from steersman.cri.native import linux
from steersman.cri.native.entering import enter_empty_root, loopback_up


def main(wanted: dict[str, Any]) -> None:
    """Does not return. `wanted`: usernamespaces.py's words. Raises OSError."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    # The empty root has no /proc; through this the kernel still shows the namespaces of whoever asks.
    proc = os.open("/proc/sys", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    enter_empty_root(wanted["pause_root"])
    linux.unshare(linux.CLONE_NEWUSER | wanted["flags"])
    os.write(1, b"r")
    if not os.read(0, 1):
        raise OSError(0, "the runtime has gone")
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    if wanted["flags"] & linux.CLONE_NEWNET:
        socket.sethostname(wanted["hostname"])
        loopback_up()
    for name, value in wanted["sysctls"].items():
        path = name.replace(".", "/")
        try:
            setting = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"/proc/sys/{path}") from error
        os.write(setting, str(value).encode())
        os.close(setting)
    linux.drop_to(wanted["uid"], wanted["gid"])
    if wanted["flags"] & linux.CLONE_NEWPID and (child := os.fork()):
        os.write(1, str(child).encode())
        os._exit(0)
    for target in (0, 1, 2):
        os.dup2(null, target)
    os.execve("/pause", ["/pause"], {})


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except OSError as problem:
        os.write(1, f"!{problem}".encode())
        os._exit(1)
