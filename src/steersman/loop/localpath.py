"""How the local-path provisioner and the nodes work together: names of annotations, and what they mean. Pure.

A node that has a folder for volumes says so on its Node (DIRECTORY). The provisioner (controllers/localpath.py) makes
volumes of type `local` below it, named after their claims; the kubelet makes the folder of a volume when a pod first mounts
it. When a volume is to go, the provisioner asks on the Node, under a key of the volume's own (ASKED); the kubelet removes
the folder and answers there (DONE); then the provisioner lets the volume go, and takes the key away. So nobody but the node
touches its disk, and a node needs no rights beyond its own Node.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from steersman.machinery.meta import Obj, annotations_of

NAME = "steersman.io/local-path"
"""The provisioner, as storage classes name it."""
DIRECTORY = "local-path.steersman.io/directory"
NODE = "local-path.steersman.io/node"
"""On a volume: the node it is on."""
_REMOVE = "remove.local-path.steersman.io/"
ASKED, DONE = "asked", "done"
_VOLUME_NAME = re.compile(r"pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def volume_name(claim_uid: str) -> str:
    return f"pvc-{claim_uid}"


def is_volume_name(name: str) -> bool:
    """A node removes only folders that the provisioner can have made: whoever may annotate Nodes can't name others."""
    return _VOLUME_NAME.fullmatch(name) is not None


def removal_key(volume: str) -> str:
    return f"{_REMOVE}{volume}"


def removals(node: Obj) -> Iterator[tuple[str, str]]:
    """(volume, ASKED or DONE) of a Node."""
    for key, value in annotations_of(node).items():
        if key.startswith(_REMOVE):
            yield key.removeprefix(_REMOVE), value


def marking(volumes: Iterable[str], value: str | None) -> Obj:
    """A merge patch of a Node that sets the answer for these volumes, or takes it away."""
    return {"metadata": {"annotations": {removal_key(volume): value for volume in volumes}}}
