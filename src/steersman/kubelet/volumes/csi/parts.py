"""The parts of CSI on a node, put together and started."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from steersman.client.interface import Client
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.kit import NodeFacts
from steersman.kubelet.pluginwatch import PluginWatch
from steersman.kubelet.volumes.csi.attachment import Attachments
from steersman.kubelet.volumes.csi.expanding import Expander, Tell
from steersman.kubelet.volumes.csi.mounting import CsiVolumes
from steersman.kubelet.volumes.csi.registration import TYPE, Drivers
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, dig
from steersman.machinery.waiting import Backoff

log = logging.getLogger(__name__)


class Csi:
    """`volumes` is the volume plugin. `changed`: Node.status.volumesInUse has."""

    def __init__(
        self, config: KubeletConfig, client: Client, clock: Clock, facts: NodeFacts, changed: Callable[[], None], tell: Tell
    ) -> None:
        self._clock = clock
        self._poke: Callable[[], None] = lambda: None
        self._drivers = Drivers(client, clock, config.node_name, facts)
        attachments = Attachments(client, clock, facts, config.root_dir, changed)
        self._attachments = attachments
        self.volumes = CsiVolumes(config, self._drivers, attachments, Expander(client, tell))
        self._watch = PluginWatch(config.root_dir, clock, {TYPE: self._drivers})

    def start(self, group: asyncio.TaskGroup, poke: Callable[[], None]) -> None:
        """`poke`: pods that waited for a driver may go on."""

        def came(name: str) -> None:
            group.create_task(self.volumes.unstage_unused(name))
            poke()

        self._drivers.on_new(came)
        group.create_task(self._run())

        self._poke = poke

    def node_changed(self, old: Obj | None, new: Obj | None) -> None:
        """Pods that wait for a volume look again when the Node shows another one as attached."""
        if self._attachments.waiting and _attached(old) != _attached(new):
            self._poke()

    async def _run(self) -> None:
        backoff = Backoff(0.5, 60)
        while True:
            try:
                await self._drivers.show()
                break
            except (StatusError, ConnectionError) as error:
                log.warning("CSINode not written error=%s", error)
                await self._clock.sleep(backoff.next())
        try:
            await self._watch.run()
        except OSError as error:
            log.error("plugins can't register error=%s", error)


def _attached(node: Obj | None) -> list[Obj]:
    return list(dig(node or {}, "status", "volumesAttached", default=None) or ())
