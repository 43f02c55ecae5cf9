"""Whether the runtime below answers and has a network: what makes a node NotReady for its sake, and holds pods still meanwhile.

A runtime that hangs is worse than one that is gone, since every call waits for its limit. So it is asked here, by one, on its
own beat; the Node's status reads what is known, and a pod's worker does not start a turn that cannot go well.

Source: upstream pkg/kubelet/runtime.go, updateRuntimeUp in pkg/kubelet/kubelet.go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from steersman.cri.interface import Runtime, RuntimeFault
from steersman.kubelet.kit import NodeFacts
from steersman.machinery import duration
from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

DOWN_AFTER_S = 30.0
"""So long after its last answer a runtime counts as down: upstream's baseRuntimeSyncThreshold."""
RELIST_THRESHOLD_S = 180.0


class RuntimeHealth:
    """Keeps facts.network_fault. `idle_s`: how long ago everything in the runtime was last listed, 0 if that is not done yet."""

    def __init__(self, runtime: Runtime, facts: NodeFacts, clock: Clock, idle_s: Callable[[], float] = lambda: 0.0) -> None:
        self._runtime, self._facts, self._clock, self._idle_s = runtime, facts, clock, idle_s
        self._good_s: float | None = None
        self._fault = ""
        self._answers = asyncio.Event()
        self._silent = False

    @property
    def answers(self) -> bool:
        """Whether the last question was answered."""
        return not self._silent

    @property
    def down(self) -> bool:
        return self._good_s is None or (self._silent and self._clock.monotonic() - self._good_s >= DOWN_AFTER_S)

    def problems(self) -> list[str]:
        """Why the node is not ready, in upstream's words."""
        found = []
        if self._good_s is None:
            found.append("container runtime status check may not have completed yet")
        elif self.down:
            found.append("container runtime is down")
        if (idle_s := self._idle_s()) >= RELIST_THRESHOLD_S:
            threshold = duration.format_go(RELIST_THRESHOLD_S)
            text = f"pleg was last seen active {duration.format_go(round(idle_s))} ago; threshold is {threshold}"
            found.append(f"PLEG is not healthy: {text}")
        if self._fault:
            found.append(f"container runtime not ready: RuntimeReady=false reason:RuntimeNotReady message:{self._fault}")
        if self._facts.network_fault:
            found.append(self._facts.network_fault)
        if self._facts.shutting_down:
            found.append("node is shutting down")
        return found

    async def wait_while_down(self) -> None:
        while self.down:
            await self._answers.wait()

    async def check(self) -> None:
        """Ask the runtime once. What changed is logged in one line."""
        try:
            fault, network_fault = await self._runtime.status()
        except RuntimeFault as error:
            self._answers.clear()
            if not self._silent:
                self._silent = True
                log.warning("container runtime does not answer error=%s", error)
            return
        if self._silent:
            self._silent = False
            log.info("container runtime answers again")
        if fault != self._fault:
            log.warning("container runtime %s", f"is not ready error={fault}" if fault else "is ready again")
        self._fault = fault
        self._facts.network_fault = (
            f"container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:{network_fault}"
            if network_fault
            else ""
        )
        self._good_s = self._clock.monotonic()
        self._answers.set()

    async def run(self, every_s: float, changed: Callable[[], None]) -> None:
        """Until cancelled. `changed`: the node's readiness is another now."""
        before = bool(self.problems())
        while True:
            await self._clock.sleep(every_s)
            # Others ask as well: what they found since, and told, may be over again.
            between = bool(self.problems())
            await self.check()
            now = bool(self.problems())
            if not before == between == now:
                changed()
            before = now
