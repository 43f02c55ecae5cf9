"""What the server counts of the requests it serves. On the path of every one of them, so it is done in plain numbers.

exposition.py makes Prometheus' form of it when somebody looks; other parts of the server add what they count to `more`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from steersman.apiserver.contracts import AdmissionPlugin, RequestInfo
from steersman.apiserver.http import Request, Response
from steersman.apiserver.registry import Registry
from steersman.machinery.clock import Clock
from steersman.machinery.counting import Histogram, Quick

if TYPE_CHECKING:
    from prometheus_client.core import Metric

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
)  # fmt: skip
_BYTES = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9)
_STORE_SECONDS = (
    0.005,
    0.025,
    0.05,
    0.1,
    0.2,
    0.4,
    0.6,
    0.8,
    1.0,
    1.25,
    1.5,
    2.0,
    3.0,
    4.0,
    5.0,
    6.0,
    8.0,
    10.0,
    15.0,
    20.0,
    30.0,
)
P = TypeVar("P", bound=AdmissionPlugin)
_ADMISSION_SECONDS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5)
QUICK_S = 0.005
"""The first bucket of all of these times, where nearly all belong."""
_READ_ONLY = frozenset(("get", "list"))
_VERBS = {
    "get": "GET", "list": "LIST", "watch": "WATCH", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE",
    "deletecollection": "DELETECOLLECTION", "apply": "APPLY", "post": "POST", "put": "PUT", "head": "HEAD", "options": "OPTIONS",
}  # fmt: skip
_INTO = frozenset(("exec", "attach", "portforward", "proxy"))

Key = tuple[str, str, str, str, str, bool, bool, str]
"""verb, group, version, resource, subresource (or path), named, namespaced, dry run."""


class Series:
    """Requests of one kind: how many by code, how long they took, how long their answers were."""

    __slots__ = ("key", "codes", "aborted", "seconds", "sizes")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.codes: dict[int, int] = {}
        self.aborted = 0
        self.seconds, self.sizes = Quick(SECONDS, QUICK_S), Histogram(_BYTES)

    def add(self, other: Series) -> None:
        """What another one has counted."""
        for code, count in other.codes.items():
            self.codes[code] = self.codes.get(code, 0) + count
        self.aborted += other.aborted
        self.seconds.add(other.seconds)
        self.sizes.add(other.sizes)

    @property
    def labels(self) -> tuple[str, ...]:
        """verb, dry_run, group, version, resource, subresource, scope, component: as upstream has them."""
        verb, group, version, plural, subresource, named, namespaced, dry_run = self.key
        if not plural:
            return (_VERBS.get(verb, "other"), "", "", "", "", subresource, "", "")
        scope = "resource" if named or verb == "create" else "namespace" if namespaced else "cluster"
        shown = "CONNECT" if subresource in _INTO else _VERBS.get(verb, "other")
        return (shown, dry_run, group, version, plural, subresource, scope, "apiserver")


class StoreTimes:
    """Commits: by operation and resource."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str, str], Histogram] = {}
        self.failed: dict[tuple[str, str, str], int] = {}

    def took(self, operation: str, group: str, resource: str, seconds: float) -> None:
        key = (operation, group, resource)
        found = self.seconds.get(key)
        if found is None:
            found = self.seconds[key] = Histogram(_STORE_SECONDS)
        found.observe(seconds)

    def fault(self, operation: str, group: str, resource: str) -> None:
        key = (operation, group, resource)
        self.failed[key] = self.failed.get(key, 0) + 1


class AdmissionTimes:
    """How long admission took: by phase (admit, validate), operation, and whether it was refused; whole, and each plugin."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock.monotonic
        self.steps: dict[tuple[str, str, bool], Histogram] = {}
        self.refusals: dict[tuple[str, str, str], Histogram] = {}
        self.plugins: dict[tuple[str, str, str], Quick] = {}
        """Of those that accepted; the key is (name, phase, operation)."""

    def of(self, phase: str, operation: str, plugins: Sequence[P]) -> list[tuple[P, Quick]]:
        """The plugins, each with what counts its times when it accepts."""
        return [
            (plugin, self.plugins.setdefault((plugin.name, phase, operation), Quick(_ADMISSION_SECONDS, QUICK_S)))
            for plugin in plugins
        ]

    def step(self, phase: str, operation: str, refused_by: AdmissionPlugin | None, began_s: float, last_s: float) -> None:
        """The phase is over. last_s: when its last plugin began."""
        now_s = self.now()
        key = (phase, operation, refused_by is not None)
        found = self.steps.get(key)
        if found is None:
            found = self.steps[key] = Histogram(_ADMISSION_SECONDS)
        found.observe(now_s - began_s)
        if refused_by is not None:
            name = (refused_by.name, phase, operation)
            self.refusals.setdefault(name, Histogram(_ADMISSION_SECONDS)).observe(now_s - last_s)


class Metrics:
    """One per server: several may live in one process. `known`: whether there is such a kind or path; else clients could have
    the server remember whatever they ask for."""

    def __init__(self, registry: Registry, known: Callable[[RequestInfo], bool], clock: Clock) -> None:
        self.registry, self._known = registry, known
        self.store, self.admission = StoreTimes(), AdmissionTimes(clock)
        self.series: dict[Key, Series] = {}
        self.long_running: dict[tuple[str, ...], int] = {}
        self.reading = self.writing = 0
        self.authenticated = self.unauthenticated = self.allowed = self.denied = 0
        self.more: list[Callable[[], Iterable[Metric]]] = []
        """What other parts of the server count."""

    def began(self, info: RequestInfo) -> None:
        if info.verb in _READ_ONLY or not info.is_resource:
            self.reading += 1
        else:
            self.writing += 1

    def done(self, request: Request, info: RequestInfo, response: Response | None, seconds: float | None) -> None:
        """seconds None: a long-running request, which is counted but not timed. response None: the client went away."""
        verb = info.verb
        reading = verb in _READ_ONLY
        if reading or not info.is_resource:
            self.reading -= 1
            dry_run = ""
        else:
            self.writing -= 1
            dry_run = "All" if request.raw_query and "dryRun" in request.raw_query else ""
            if verb == "patch" and "apply-patch" in request.headers.get("content-type", ""):
                verb = "apply"
        path = info.subresource if info.is_resource else info.path
        named, namespaced = info.name != "", info.namespace != ""
        key = (verb, info.group, info.version, info.plural, path, named, namespaced, dry_run)
        series = self.series.get(key) or self._new(key, info)
        if response is None:
            series.aborted += 1
            return
        status, codes = response.status, series.codes
        codes[status] = codes.get(status, 0) + 1
        if seconds is not None:
            took = series.seconds
            took.sum += seconds
            if seconds < QUICK_S:
                took.quick += 1
            else:
                took.slow(seconds)
            if reading:
                series.sizes.observe(len(response.body) if response.parts is None else response.length)

    def streaming(self, info: RequestInfo, change: int) -> None:
        """A long-running answer begins (1) or ends (-1)."""
        key = (info.verb, info.group, info.version, info.plural, info.subresource, bool(info.name), bool(info.namespace), "")
        labels = Series(key).labels
        shown = (labels[0], *labels[2:])
        self.long_running[shown] = self.long_running.get(shown, 0) + change

    def _new(self, key: Key, info: RequestInfo) -> Series:
        if not self._known(info):
            key = (key[0] if key[0] in _VERBS else "other", "", "", "", "", False, False, "")
        found = self.series.get(key)
        if found is None:
            found = self.series[key] = Series(key)
        return found
