"""Points in a node's work at which a test may kill it, or whoever else it is at work with. They are put there from here.

`python -m tests.robustness.node.failpoints up ...` is `steersman up ...` whose node passes them: functions of the runtime, the
network and the kubelet are wrapped before the parts are forked. What is armed is one line in a file in the state directory:

    Sandboxes._pause:after@2 0 1500

kills, 1,500 microseconds after the second return of that function, the node itself (0, else the process with that pid). The
line is taken away first, so that who comes back lives. The supervisor does not make a part wait longer each time it dies here,
and images are not collected.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = "failpoint"

STARTING = {
    "steersman.kubelet.cgroups": ("Cgroups.apply",),
    "steersman.kubelet.sync": ("PodSync._prepare", "PodSync._start"),
    "steersman.kubelet.volumes.manager": ("VolumeManager.set_up",),
    "steersman.cri.native.records": ("Records.save",),
    "steersman.cri.native.sandboxes": ("Sandboxes._prepare", "Sandboxes._pause"),
    "steersman.network.addresses": ("AddressPool.take", "AddressPool._write"),
    "steersman.network.bridge": ("BridgeNetwork._attach", "BridgeNetwork._set_host_ports"),
    "steersman.network.links": ("attach",),
    "steersman.cri.native.creation": ("Maker._mount", "Maker._bundle"),
    "steersman.cri.native.oci": ("spawn", "OciRuntime.create", "OciRuntime.start"),
    "steersman.cri.native.containers": ("Containers._started",),
}
STOPPING = {
    "steersman.kubelet.terminating": ("Stopper.stop_container",),
    "steersman.kubelet.cgroups": ("Cgroups.remove",),
    "steersman.kubelet.sync": ("PodSync.release", "PodSync.remove"),
    "steersman.kubelet.volumes.manager": ("VolumeManager.tear_down", "VolumeManager.remove_pod_dir"),
    "steersman.cri.native.records": ("Records.save", "Records.drop"),
    "steersman.cri.native.sandboxes": ("Sandboxes._release", "Sandboxes._release_rest", "Sandboxes.remove"),
    "steersman.network.addresses": ("AddressPool.release",),
    "steersman.network.bridge": ("BridgeNetwork._detach",),
    "steersman.network.links": ("detach",),
    "steersman.cri.native.creation": ("Maker.release", "Maker.discard"),
    "steersman.cri.native.oci": ("OciRuntime.delete",),
    "steersman.cri.native.containers": ("Containers._finish", "Containers._release", "Containers.remove"),
}
_CALLS = "steersman.cri.remote.runtime"
REMOTE_STARTING = {
    **{module: STARTING[module] for module in STARTING if ".kubelet." in module},
    _CALLS: ("RemoteRuntime.run_pod_sandbox", "RemoteRuntime.create_container", "RemoteRuntime.start_container"),
}
REMOTE_STOPPING = {
    **{module: STOPPING[module] for module in STOPPING if ".kubelet." in module},
    _CALLS: (
        "RemoteRuntime.stop_container",
        "RemoteRuntime.stop_pod_sandbox",
        "RemoteRuntime.remove_container",
        "RemoteRuntime.remove_pod_sandbox",
    ),
}


def points(table: dict[str, tuple[str, ...]]) -> list[str]:
    """The names of a table's points."""
    return [f"{_name(module, path)}:{side}" for module, paths in table.items() for path in paths for side in ("before", "after")]


def _name(module: str, path: str) -> str:
    """A method by its class and name; a function by its module's."""
    return path if "." in path else f"{module.rpartition('.')[2]}.{path}"


class Armed:
    """Counts what is passed, and kills when the file says so."""

    def __init__(self, file: Path) -> None:
        self._file, self._line, self._hits = file, "", 0

    def passed(self, point: str) -> None:
        try:
            line = self._file.read_text()
        except FileNotFoundError:
            return
        if line != self._line:
            self._line, self._hits = line, 0
        where, victim, later_us = line.split()
        wanted, _, hit = where.partition("@")
        if wanted != point:
            return
        self._hits += 1
        if self._hits != int(hit):
            return
        try:
            self._file.unlink()
        except FileNotFoundError:
            return
        pid = int(victim) or os.getpid()
        if later_us == "0":
            os.kill(pid, signal.SIGKILL)
        else:
            threading.Timer(int(later_us) / 1e6, os.kill, (pid, signal.SIGKILL)).start()


def _wrap(function: Callable[..., Any], name: str, passed: Callable[[str], None]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def waiting(*args: Any, **kwargs: Any) -> Any:
            passed(f"{name}:before")
            result = await function(*args, **kwargs)
            passed(f"{name}:after")
            return result

        return waiting

    @functools.wraps(function)
    def calling(*args: Any, **kwargs: Any) -> Any:
        passed(f"{name}:before")
        result = function(*args, **kwargs)
        passed(f"{name}:after")
        return result

    return calling


def put_in(passed: Callable[[str], None]) -> None:
    """Wrap all functions of the tables."""
    done: set[str] = set()
    for table in (STARTING, STOPPING, REMOTE_STARTING, REMOTE_STOPPING):
        for module, paths in table.items():
            for path in paths:
                name = _name(module, path)
                if name in done:
                    continue
                done.add(name)
                owner: Any = importlib.import_module(module)
                *classes, attribute = path.split(".")
                for each in classes:
                    owner = getattr(owner, each)
                setattr(owner, attribute, _wrap(getattr(owner, attribute), name, passed))


def main() -> int:
    from steersman.__main__ import main as steersman
    from steersman.cluster import supervisor
    from steersman.kubelet.garbage import images

    put_in(Armed(Path(os.environ["STEERSMAN_STATE_DIR"]) / FILE).passed)
    supervisor._STABLE_S = -1.0
    # On a machine whose disk is nearly full the image would go between two rounds, while nothing uses it.
    setattr(images.Policy, "off", property(lambda policy: True))  # noqa: B010 - mypy takes no assignment to a property
    return steersman(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
