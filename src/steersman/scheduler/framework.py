"""What a scheduler plugin is: small protocols, one per extension point, all pure. Upstream's names and codes.

A filter or score looks at all nodes at once: `needs` is what it worked out from the pod (None: it has nothing to say on
this pod, upstream's Skip), `rows` which nodes to look at. Filters answer with one number per node: 0 fits, else a set of
bits, bit i standing for reasons(needs)[i], since a node can lack several things.

`uses_pods` says whether an answer changes as pods come and go on that node; if not, it holds until a node changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeAlias, runtime_checkable

from steersman.machinery.meta import Obj
from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo

MAX_SCORE = 100


class Code(Enum):
    """Why a node is refused: UNSCHEDULABLE can be cured by removing pods, UNRESOLVABLE can't."""

    UNSCHEDULABLE = "Unschedulable"
    UNRESOLVABLE = "UnschedulableAndUnresolvable"


@dataclass(frozen=True, slots=True)
class Reason:
    text: str
    code: Code


class Happening(Enum):
    """Changes in the cluster that may make a rejected pod fit (upstream ClusterEvent)."""

    NODE_ADD = "NodeAdd"
    NODE_ALLOCATABLE = "NodeAllocatableChange"
    NODE_LABEL = "NodeLabelChange"
    NODE_TAINT = "NodeTaintChange"
    ASSIGNED_POD_DELETE = "AssignedPodDelete"
    ASSIGNED_POD_SCALE_DOWN = "AssignedPodScaleDown"
    POD_SCALE_DOWN = "UnscheduledPodScaleDown"
    POD_TOLERATION = "UnscheduledPodTolerationChange"
    POD_GATES_GONE = "UnscheduledPodSchedulingGatesEliminated"


@dataclass(frozen=True, slots=True)
class Event:
    """A change: the node's or pod's object before and after, as far as there is one."""

    happening: Happening
    old: Obj | None = None
    new: Obj | None = None


Hint: TypeAlias = Callable[[PodInfo, Event], bool]
"""True: the event may make this pod schedulable (Queue); False: it does not (QueueSkip)."""


def always(pod: PodInfo, event: Event) -> bool:
    """The hint of plugins that can't tell."""
    return True


class Plugin(Protocol):
    @property
    def name(self) -> str: ...


class Hinted(Plugin, Protocol):
    """A plugin that rejects pods, and knows what may change its mind."""

    def hints(self) -> Mapping[Happening, Hint]: ...


class PreEnqueue(Hinted, Protocol):
    def pre_enqueue(self, pod: PodInfo) -> str:
        """Why the pod must not be scheduled yet; empty if it may."""


class QueueSort(Plugin, Protocol):
    def sort_key(self, pod: PodInfo, queued_at_s: float) -> tuple[float, ...]:
        """Smaller comes first."""


class Filter(Hinted, Protocol):
    @property
    def uses_pods(self) -> bool: ...

    def prepare(self, pod: PodInfo) -> Any | None: ...

    def filter(self, needs: Any, table: NodeTable, rows: Rows) -> Ints: ...

    def reasons(self, needs: Any) -> Sequence[Reason]: ...


@runtime_checkable
class Narrowing(Protocol):
    """A filter that can name the only nodes worth looking at (upstream PreFilterResult)."""

    def narrow(self, needs: Any) -> frozenset[str] | None:
        """None: all nodes."""

    def conflict(self) -> Reason:
        """What to say when it names none."""


class Normalize(Enum):
    """How raw scores become 0 … 100 over the nodes that fit."""

    NONE = "none"
    DEFAULT = "100 × s / max"
    REVERSED = "100 − 100 × s / max"


class Score(Plugin, Protocol):
    @property
    def weight(self) -> int: ...

    @property
    def normalize(self) -> Normalize: ...

    @property
    def uses_pods(self) -> bool: ...

    def prepare_score(self, pod: PodInfo) -> Any | None: ...

    def score(self, needs: Any, table: NodeTable, rows: Rows) -> Ints: ...


class Bind(Plugin, Protocol):
    def binding(self, pod: PodInfo, node: str) -> Obj:
        """The object to POST to the pod's `binding` subresource."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The plugins of one schedulerName, in order. Explicit: nothing registers itself."""

    scheduler_name: str
    queue_sort: QueueSort
    bind: Bind
    pre_enqueue: tuple[PreEnqueue, ...] = ()
    filters: tuple[Filter, ...] = ()
    scores: tuple[Score, ...] = field(default=())

    def hinted(self) -> dict[str, Hinted]:
        """Plugins that can reject a pod, by name."""
        return {plugin.name: plugin for plugin in (*self.pre_enqueue, *self.filters)}
