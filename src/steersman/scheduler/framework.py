"""What a scheduler plugin is: small protocols, one per extension point, all pure. Upstream's names and codes.

A filter or score looks at all nodes at once: `needs` is what it worked out from the pod (None: it has nothing to say on
this pod, upstream's Skip), `rows` which nodes to look at. Filters answer with one Code per node; why a node is refused
is asked afterwards, of those that were.

`uses_pods` says whether an answer changes as pods come and go on that node; if not, it holds until a node changes.
A wide plugin's answer for one node depends on pods elsewhere. It first puts into words what it wants to know of them
(the question: pods of one signature that ask the same share all answers), then takes a survey, which follows every pod
that comes or goes (counts per topology domain), so that nothing is counted twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard, runtime_checkable

from steersman.machinery.meta import Obj
from steersman.scheduler.columns import Bools, Ints, Rows
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.relations import Group, Terms
from steersman.scheduler.surroundings import Surroundings
from steersman.scheduler.volumes import Plan

if TYPE_CHECKING:
    from steersman.scheduler.preemption import Attempt, Decision

MAX_SCORE = 100


class Code(IntEnum):
    """What a filter says of a node. UNSCHEDULABLE can be cured by removing pods, UNRESOLVABLE (…AndUnresolvable) can't."""

    FITS = 0
    UNSCHEDULABLE = 1
    UNRESOLVABLE = 2


Reasons: TypeAlias = Counter[str]
"""How many nodes each text is true of."""


class Happening(Enum):
    """Changes in the cluster that may make a rejected pod fit (upstream ClusterEvent)."""

    NODE_ADD = "NodeAdd"
    NODE_DELETE = "NodeDelete"
    NODE_ALLOCATABLE = "NodeAllocatableChange"
    NODE_LABEL = "NodeLabelChange"
    NODE_TAINT = "NodeTaintChange"
    ASSIGNED_POD_ADD = "AssignedPodAdd"
    ASSIGNED_POD_LABEL = "AssignedPodLabelChange"
    ASSIGNED_POD_DELETE = "AssignedPodDelete"
    ASSIGNED_POD_SCALE_DOWN = "AssignedPodScaleDown"
    POD_SCALE_DOWN = "UnscheduledPodScaleDown"
    POD_LABEL = "UnscheduledPodLabelChange"
    POD_TOLERATION = "UnscheduledPodTolerationChange"
    POD_GATES_GONE = "UnscheduledPodSchedulingGatesEliminated"
    CLAIM = "PersistentVolumeClaimAddOrUpdate"
    VOLUME = "PersistentVolumeAddOrUpdate"
    STORAGE_CLASS = "StorageClassAddOrUpdate"
    CSI_NODE = "CSINodeAddOrUpdate"


@dataclass(frozen=True, slots=True)
class Event:
    """A change: the object (of a node, a pod, what is used for storage) before and after, as far as there is one."""

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

    def reasons(self, needs: Any, table: NodeTable, rows: Ints) -> Reasons:
        """Why these rows, which the filter just refused, are refused; a row may count under several texts."""


class Survey(Protocol):
    """What a wide plugin knows of the pods of all nodes."""

    def move(self, row: int, group: Group, terms: Terms, sign: int) -> None:
        """A pod came to a row (1) or went from it (−1)."""


@runtime_checkable
class WideFilter(Hinted, Protocol):
    """A filter whose answer for one node depends on pods of other nodes."""

    def question(self, pod: PodInfo, table: NodeTable, around: Surroundings) -> Hashable | None: ...

    def survey(self, question: Any, pod: PodInfo, table: NodeTable, around: Surroundings) -> Survey: ...

    def filter(self, needs: Any, table: NodeTable, rows: Rows) -> Ints:
        """`needs` is the survey."""

    def reasons(self, needs: Any, table: NodeTable, rows: Ints) -> Reasons: ...


class Narrowing(Plugin, Protocol):
    """A filter that can name the only nodes worth looking at (upstream PreFilterResult)."""

    def narrow(self, needs: Any) -> frozenset[str] | None:
        """None: all nodes."""

    def conflict(self) -> str:
        """What to say when it names none."""


def is_narrowing(plugin: object) -> TypeGuard[Narrowing]:
    return hasattr(plugin, "narrow")


class Conflicting(Plugin, Protocol):
    """A wide filter that can tell that no node will do, whichever (a rejection by upstream's PreFilter)."""

    def conflict_of(self, survey: Any) -> str:
        """Why; "" if it depends on the node."""


def is_conflicting(plugin: object) -> TypeGuard[Conflicting]:
    return hasattr(plugin, "conflict_of")


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


@runtime_checkable
class WideScore(Plugin, Protocol):
    """A score that depends on pods of other nodes, or on which other nodes fit."""

    @property
    def weight(self) -> int: ...

    def score_question(self, pod: PodInfo, table: NodeTable, around: Surroundings) -> Hashable | None: ...

    def score_survey(self, question: Any, pod: PodInfo, table: NodeTable, around: Surroundings) -> Survey: ...

    def wide_score(self, survey: Any, fits: Bools) -> Ints:
        """0 … 100 for every row; what it says of rows that do not fit does not matter."""


class PostFilter(Plugin, Protocol):
    @property
    def preempting(self) -> set[str]:
        """Uids of pods for which room is being made just now: whoever makes it keeps this true."""

    def post_filter(self, pod: PodInfo, attempt: Attempt) -> Decision:
        """What can be done about a pod that fits nowhere."""


AnyFilter: TypeAlias = Filter | WideFilter
AnyScore: TypeAlias = Score | WideScore


class PreBind(Plugin, Protocol):
    def plan(self, pod: PodInfo, node: str, table: NodeTable, around: Surroundings) -> Plan | None:
        """What has to come true before the pod may be bound to the node that was chosen; None if nothing."""


class Bind(Plugin, Protocol):
    def binding(self, pod: PodInfo, node: str) -> Obj:
        """The object to POST to the pod's `binding` subresource."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The plugins of one schedulerName, in order. Explicit: nothing registers itself."""

    scheduler_name: str
    queue_sort: QueueSort
    bind: Bind
    pre_enqueue: tuple[PreEnqueue, ...] = ()
    filters: tuple[AnyFilter, ...] = ()
    post_filter: PostFilter | None = None
    scores: tuple[AnyScore, ...] = field(default=())
    pre_bind: PreBind | None = None

    # Told apart once: asking a Protocol whether something is one of its kind is slow.

    @cached_property
    def sorted_filters(self) -> tuple[tuple[Filter | None, WideFilter | None], ...]:
        """The filters in order, each as what it is."""
        return tuple((None, item) if isinstance(item, WideFilter) else (item, None) for item in self.filters)

    @cached_property
    def sorted_scores(self) -> tuple[tuple[Score | None, WideScore | None], ...]:
        return tuple((None, item) if isinstance(item, WideScore) else (item, None) for item in self.scores)

    def hinted(self) -> dict[str, Hinted]:
        """Plugins that can reject a pod, by name."""
        return {plugin.name: plugin for plugin in (*self.pre_enqueue, *self.filters)}
