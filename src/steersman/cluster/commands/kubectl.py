"""`steersman kubectl`: our own kubectl, with the administrator's kubeconfig of this machine's cluster if nothing else is said."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from steersman.cli.kubectl.main import main
from steersman.cluster.paths import Paths, default_state_dir

_SELDOM = 20_000
"""Objects between two collections: a short command makes little garbage, and most of its objects while it imports."""


def run_raw(arguments: Sequence[str]) -> NoReturn:
    """Ends the process. --kubeconfig and $KUBECONFIG come before the cluster's own kubeconfig."""
    gc.set_threshold(_SELDOM)
    own = Paths(default_state_dir()).admin_kubeconfig
    code = main(arguments, default_kubeconfig=own if os.access(own, os.R_OK) else None)
    sys.stdout.flush()
    sys.stderr.flush()
    # To take the interpreter apart costs more than most commands do. Nothing is left to be closed.
    os._exit(code)
