"""`steersman kubectl`: our own kubectl, with the administrator's kubeconfig of this machine's cluster if nothing else is said."""

from __future__ import annotations

import os
from collections.abc import Sequence

from steersman.cli.kubectl.main import main
from steersman.cluster.settings import Paths, default_state_dir


def run_raw(arguments: Sequence[str]) -> int:
    """The exit code. --kubeconfig and $KUBECONFIG come before the cluster's own kubeconfig."""
    own = Paths(default_state_dir()).admin_kubeconfig
    return main(arguments, default_kubeconfig=own if os.access(own, os.R_OK) else None)
