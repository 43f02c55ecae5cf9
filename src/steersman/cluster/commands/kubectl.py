"""Run kubectl against this cluster: the real one, with the administrator's kubeconfig."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from steersman.cluster.settings import Paths, default_state_dir


def run_raw(arguments: Sequence[str]) -> int:
    """Replaces this process; returns only if kubectl cannot be run."""
    paths = Paths(default_state_dir())
    program = shutil.which("kubectl")
    if program is None:
        print("steersman kubectl: no kubectl is installed; put one on the PATH", file=sys.stderr)
        return 1
    if not os.access(paths.admin_kubeconfig, os.R_OK):
        print(
            f"steersman kubectl: {paths.admin_kubeconfig} cannot be read: is the cluster up, and is it yours?",
            file=sys.stderr,
        )
        return 1
    environment = {**os.environ, "KUBECONFIG": str(paths.admin_kubeconfig)}
    os.execve(program, ["kubectl", *arguments], environment)
    return 1
