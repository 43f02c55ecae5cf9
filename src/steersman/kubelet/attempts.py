"""How often a container was started before, when the runtime has forgotten it: its logs are numbered.

Whatever removes containers but not their pods (a `down`, some runtimes' reboot) would else begin the count anew, and its log too.
A start that nobody was shown (the kubelet was killed in it) does not count: its number is taken again.
Source: upstream pkg/kubelet/kuberuntime, calcRestartCountByLogDir.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace

from steersman.kubelet.decide import Start
from steersman.machinery.meta import Obj, dig

_LOG = re.compile(r"(\d+)\.log(\..*)?", re.ASCII)
_LISTS = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")


def counted(pod: Obj, start: Start, logs: str) -> Start:
    """The start with its number, by the pod's folder of logs where nothing else told it. Raises OSError."""
    name = start.spec["name"]
    if start.attempt or not _has_been_shown(pod, name):
        return start
    return replace(start, attempt=following(os.path.join(logs, name)))


def following(logs: str) -> int:
    """The number after those that a container's logs in that folder have. Raises OSError."""
    try:
        found = os.listdir(logs)
    except FileNotFoundError:
        return 0
    return max((int(known[1]) + 1 for file in found if (known := _LOG.fullmatch(file))), default=0)


def _has_been_shown(pod: Obj, name: str) -> bool:
    statuses = (each for part in _LISTS for each in dig(pod, "status", part, default=None) or ())
    return any(each["name"] == name and (each.get("containerID") or each.get("restartCount")) for each in statuses)
