"""The commands of a page in docs/, as a reader would type them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tools.throwaway import Cluster

DOCS = Path(__file__).parents[2] / "docs"


def commands(page: str) -> list[str]:
    """The shell blocks of a page, in order."""
    return re.findall(r"^```sh\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def typed(cluster: Cluster, block: str, directory: Path) -> str:
    """What a block prints when it is typed there; a command that fails is a failure."""
    path = f"{Path(sys.executable).parent}:$PATH"
    return cluster.run("bash", "-ec", f"set -o pipefail; cd {directory}; export PATH={path}\n{block}", timeout_s=600)
