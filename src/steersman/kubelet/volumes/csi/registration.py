"""Registered CSI drivers, and what the cluster is told of them: CSINode, the Node's annotation and its topology labels.

A driver counts here only after the API server has taken what it says about the node. Source: upstream pkg/volume/csi
(csi_plugin.go, csi_drivers_store.go) and nodeinfomanager.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterable, Sequence

from steersman.api.resources import CSI_NODES, NODES
from steersman.client.interface import Client
from steersman.kubelet.kit import NodeFacts
from steersman.kubelet.pluginwatch import Refused
from steersman.kubelet.volumes.csi.driver import Driver
from steersman.kubelet.volumes.csi.messages import NodeInfo
from steersman.machinery.clock import Clock
from steersman.machinery.errors import AlreadyExists, Conflict, NotFound
from steersman.machinery.meta import Obj, annotations_of, labels_of, uid_of

log = logging.getLogger(__name__)

TYPE = "CSIPlugin"
NODE_IDS = "csi.volume.kubernetes.io/nodeid"
_TRIES = 5
_VERSION = re.compile(r"v?1(\.\d+)*")


class Drivers:
    """By name. `changed`: called with the name of a driver that has come."""

    def __init__(self, client: Client, clock: Clock, node_name: str, facts: NodeFacts) -> None:
        self._client, self._clock, self._node_name, self._facts = client, clock, node_name, facts
        self._known: dict[str, Driver] = {}
        self._lock = asyncio.Lock()
        self._told: list[Callable[[str], None]] = []

    def on_new(self, told: Callable[[str], None]) -> None:
        self._told.append(told)

    def get(self, name: str) -> Driver | None:
        return self._known.get(name)

    # --- pluginwatch.PluginHandler ---------------------------------------------------------------------------------

    async def register(self, name: str, endpoint: str, versions: Sequence[str]) -> None:
        """Raises Refused, CallFailed, StatusError, ConnectionError."""
        if not any(_VERSION.fullmatch(version) for version in versions):
            raise Refused(f"None of the CSI versions reported by this driver are supported: {list(versions)}")
        driver = Driver(name, endpoint, self._clock)
        driver.info = await driver.node_info()
        if not driver.info.node_id:
            raise Refused("error registering CSI driver: node info has no node ID")
        async with self._lock:
            await self._label(name, driver.info)
            await self._change(lambda found: _with(found, name, driver.info))
        self._known[name] = driver
        for told in self._told:
            told(name)

    async def deregister(self, name: str) -> None:
        """Raises StatusError, ConnectionError."""
        self._known.pop(name, None)
        async with self._lock:
            await self._change(lambda found: [each for each in found if each["name"] != name])
            await self._label(name, None)

    # --- what the cluster sees -------------------------------------------------------------------------------------

    async def show(self) -> None:
        """See to it that the CSINode is there: without one the scheduler doesn't know that there are no drivers."""
        async with self._lock:
            await self._change(lambda found: found)

    async def _label(self, name: str, info: NodeInfo | None) -> None:
        """Node ID and topology go to the Node; a label that says something else already is not overwritten. Raises Refused."""
        node = await self._client.get(NODES, self._node_name)
        ids = _ids(annotations_of(node).get(NODE_IDS, ""))
        before = dict(ids)
        ids.pop(name, None)
        patch: Obj = {}
        if info is not None:
            ids[name] = info.node_id
            have = labels_of(node)
            for key, value in info.topology.items():
                if key in have and have[key] != value:
                    text = f'detected topology value collision: driver reported "{key}":"{value}" but existing label is'
                    raise Refused(f'{text} "{key}":"{have[key]}"')
            fresh = {key: value for key, value in info.topology.items() if key not in have}
            patch.update({"labels": fresh} if fresh else {})
        if ids != before:
            made = json.dumps(ids, sort_keys=True, separators=(",", ":"))
            patch["annotations"] = {NODE_IDS: made if ids else None}
        if patch:
            self._facts.answered(await self._client.patch(NODES, self._node_name, {"metadata": patch}))

    async def _change(self, change: Callable[[list[Obj]], list[Obj]]) -> None:
        """Bring CSINode.spec.drivers to what `change` makes of it. Raises StatusError, ConnectionError."""
        for left in reversed(range(_TRIES)):
            try:
                found = await self._client.get(CSI_NODES, self._node_name)
                before = list((found.get("spec") or {}).get("drivers") or ())
                after = change(before)
                if after != before:
                    await self._client.update(CSI_NODES, {**found, "spec": {"drivers": after}})
                return
            except NotFound:
                try:
                    await self._client.create(CSI_NODES, self._fresh(change([])))
                    return
                except AlreadyExists:
                    continue
            except Conflict:
                if not left:
                    raise

    def _fresh(self, drivers: Iterable[Obj]) -> Obj:
        metadata: Obj = {"name": self._node_name}
        if self._facts.node is not None:
            uid = uid_of(self._facts.node)
            metadata["ownerReferences"] = [{"apiVersion": "v1", "kind": "Node", "name": self._node_name, "uid": uid}]
        return {"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": metadata, "spec": {"drivers": list(drivers)}}


def _with(found: Sequence[Obj], name: str, info: NodeInfo) -> list[Obj]:
    entry: Obj = {"name": name, "nodeID": info.node_id, "topologyKeys": sorted(info.topology)}
    if not info.topology:
        entry["topologyKeys"] = None
    if info.max_volumes > 0:
        entry["allocatable"] = {"count": min(info.max_volumes, 2**31 - 1)}
    known = next((each for each in found if each["name"] == name), None)
    if known is not None and {**known, "topologyKeys": known.get("topologyKeys")} == entry:
        return list(found)
    return [*(each for each in found if each["name"] != name), entry]


def _ids(text: str) -> dict[str, str]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
