"""A throwaway cluster whose pods run in a containerd of its own, which can be ended, stopped and started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.fakes import containerd as containerds
from tools.throwaway import Cluster

from steersman.cluster.procs import mounts_under
from steersman.cri.native import build


class ContainerdCluster(Cluster):
    """`daemon` is the containerd, in the cluster's network namespace; it outlives `down`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.root = Path(tempfile.mkdtemp(prefix="stm-cri-", dir="/var/tmp"))
        self._stack = ExitStack()
        self._archive = self.root / "busybox.tar"
        try:
            build.build_busybox(str(self._archive))
            self.daemon = self.start_containerd()
        except BaseException:
            super().remove()
            self._clear()
            raise

    def start_containerd(self) -> containerds.Containerd:
        self._killed = False
        archives, wrap = [self._archive], self.netns.wrap([])
        return self._stack.enter_context(containerds.running(self.root / "d", archives, wrap=wrap, loopback=False))

    def kill_containerd(self) -> None:
        """kill -9."""
        os.kill(self.daemon.pid, signal.SIGKILL)
        self._stack.close()
        self._killed = True

    def up(self) -> str:
        endpoint = ("--runtime-endpoint", self.daemon.socket)
        return self.steersman("up", "--node-name", "node-1", "--runtime", "containerd", *endpoint)

    def remove(self) -> None:
        try:
            if self._killed:
                # Only it can end the pods.
                self.start_containerd()
            os.kill(self.daemon.pid, signal.SIGCONT)
            super().remove()
        finally:
            self._clear()

    def _clear(self) -> None:
        self._stack.close()
        # What a containerd could not undo any more: namespaces of pods whose network would not go, for one.
        for point in mounts_under(self.root):
            subprocess.run(["umount", "--lazy", point], check=False)
        shutil.rmtree(self.root, ignore_errors=True)
