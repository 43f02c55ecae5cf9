"""All containers of a pod begin anew in its sandbox, because one has ended with an exit code whose rule says so (KEP-5532).

decide.py names who has to go, in which order; here they are killed without a grace period and removed, the one that caused it
last: while it is there, a kubelet that is itself restarted goes on. Volumes and addresses stay, and so do ephemeral containers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from steersman.cri.interface import NotThere
from steersman.cri.messages import Container, ContainerState
from steersman.kubelet import pods
from steersman.kubelet.parts import Parts
from steersman.kubelet.view import PodView
from steersman.machinery.meta import Obj, is_condition_true

CONDITION = "AllContainersRestarting"


async def remove_all(parts: Parts, pod: Obj, doomed: Sequence[Container]) -> None:
    """Raises RuntimeFault (in a group)."""
    async with asyncio.TaskGroup() as group:
        for container in doomed:
            if container.state is not ContainerState.EXITED:
                group.create_task(parts.stopper.stop_container(pod, container, 0.0))
    for container in doomed:
        try:
            await parts.runtime.remove_container(container.id)
        except NotThere:
            continue
        finally:
            parts.probes.results.forget(container.id)


def under_way(pod: Obj) -> bool:
    """Whether the API shows that this pod's containers are being restarted."""
    return is_condition_true((pod.get("status") or {}).get("conditions"), CONDITION)


def is_over(pod: Obj, view: PodView) -> bool:
    """Whether all that were removed have begun again."""
    return all(view.newest(spec["name"]) is not None for spec in (*pods.init_containers(pod), *pods.containers(pod)))
