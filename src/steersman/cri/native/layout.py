"""Where things lie on disk. `root` survives a reboot, `run` need not: sockets, mount points, process files."""

from __future__ import annotations

import os
from dataclasses import dataclass

ROOTFS, VOLUME_MOUNT = "rootfs", "volume-"
"""Names in a container's `mounts`; those of what is mounted for its volumes begin with the latter."""
MAPPED = "/run/steersman-mapped"
"""Machine-wide; names in it are ids of containers."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of the runtime's state. One pair (root, run) per runtime; two runtimes never share one."""

    root: str
    run: str

    def prepare(self) -> None:
        for path in (
            self.sandboxes,
            self.containers,
            self.netns_dir,
            self.bundles,
            self.exits,
            self.runtime_state,
            self.pause_root,
        ):
            os.makedirs(path, mode=0o711, exist_ok=True)

    @property
    def sandboxes(self) -> str:
        return f"{self.root}/sandboxes"

    @property
    def containers(self) -> str:
        return f"{self.root}/containers"

    @property
    def netns_dir(self) -> str:
        return f"{self.run}/netns"

    @property
    def bundles(self) -> str:
        return f"{self.run}/bundles"

    @property
    def exits(self) -> str:
        """Where conmon leaves one file per ended container: its exit code."""
        return f"{self.run}/exits"

    @property
    def runtime_state(self) -> str:
        """crun's or runc's own --root."""
        return f"{self.run}/oci"

    @property
    def pause_root(self) -> str:
        """The directory that is the root file system of pause processes."""
        return f"{self.run}/pause"

    def sandbox(self, sandbox_id: str) -> str:
        return f"{self.sandboxes}/{sandbox_id}"

    def netns(self, sandbox_id: str) -> str:
        return f"{self.netns_dir}/{sandbox_id}"

    def shm(self, sandbox_id: str) -> str:
        return f"{self.sandbox(sandbox_id)}/shm"

    def container(self, container_id: str) -> str:
        return f"{self.containers}/{container_id}"

    def bundle(self, container_id: str) -> str:
        return f"{self.bundles}/{container_id}"

    def mounts(self, container_id: str, *, mapped: bool) -> str:
        """The folder with what is mounted for the container: its bundle, or, with a user namespace of its own, where every user
        gets to; ours may be closed to them, and the runtime mounts from inside."""
        return f"{MAPPED}/{container_id}" if mapped else self.bundle(container_id)

    def exit_file(self, container_id: str) -> str:
        return f"{self.exits}/{container_id}"
