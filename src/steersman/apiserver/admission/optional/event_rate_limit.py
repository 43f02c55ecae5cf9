"""EventRateLimit: so many Events a second are taken, in all, of a namespace, of a user, or of one source about one object.

Source: upstream plugin/pkg/admission/eventratelimit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from steersman.api.resources import EVENTS
from steersman.apiserver.config import ConfigError
from steersman.apiserver.configfile import known_fields, objects
from steersman.apiserver.contracts import AdmissionRequest
from steersman.machinery.clock import Clock
from steersman.machinery.errors import TooManyRequests
from steersman.machinery.meta import Obj

_VERSION = "eventratelimit.admission.k8s.io/v1alpha1"
_CACHE = 4096
_SOURCE, _OBJECT = ("component", "host"), ("kind", "namespace", "name", "uid", "apiVersion")


def _source_and_object(request: AdmissionRequest) -> str:
    event = request.obj or {}
    parts = [(event.get("source") or {}).get(key) or "" for key in _SOURCE]
    parts += [(event.get("involvedObject") or {}).get(key) or "" for key in _OBJECT]
    return "".join(parts)


_KEYS: Mapping[str, Callable[[AdmissionRequest], str]] = {
    "Server": lambda request: "{}",
    "Namespace": lambda request: request.namespace,
    "User": lambda request: request.user.name,
    "SourceAndObject": _source_and_object,
}


@dataclass(frozen=True, slots=True)
class Limit:
    type: str
    qps: int
    burst: int
    cache_size: int = _CACHE


class EventRateLimit:
    name = "EventRateLimit"

    def __init__(self, limits: tuple[Limit, ...], clock: Clock) -> None:
        self._limits = [(limit, _Buckets(limit, clock)) for limit in limits]

    async def validate(self, request: AdmissionRequest) -> None:
        if request.resource != EVENTS or request.operation not in ("CREATE", "UPDATE") or request.dry_run:
            return
        reached = []
        for limit, buckets in self._limits:
            key = _KEYS[limit.type](request)
            if not buckets.take(key):
                reached.append(f"limit reached on type {limit.type} for key {key}")
        if reached:
            told = reached[0] if len(reached) == 1 else f"[{', '.join(reached)}]"
            raise TooManyRequests(f"Too many requests: {told}")


class _Buckets:
    """A token bucket for each key; those that were not asked for longest are forgotten."""

    def __init__(self, limit: Limit, clock: Clock) -> None:
        self._limit, self._clock = limit, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> bool:
        now_s, limit = self._clock.monotonic(), self._limit
        left, then_s = self._left.pop(key, (float(limit.burst), now_s))
        left = min(limit.burst, left + (now_s - then_s) * limit.qps)
        taken = left >= 1
        self._left[key] = (left - 1 if taken else left, now_s)
        if len(self._left) > limit.cache_size:
            self._left.popitem(last=False)
        return taken


def parse(configuration: Obj | None) -> tuple[Limit, ...]:
    """Raises ConfigError."""
    given = known_fields(configuration or {}, "", ("apiVersion", "kind", "limits"))
    if (given.get("apiVersion"), given.get("kind")) != (_VERSION, "Configuration"):
        raise ConfigError(f"EventRateLimit: a Configuration of {_VERSION} was expected")
    items = objects(given.get("limits"), "limits")
    if not items:
        raise ConfigError("limits: Invalid value: []: must not be empty")
    return tuple(_limit(item, f"limits[{index}]") for index, item in enumerate(items))


def _limit(item: Obj, at: str) -> Limit:
    known_fields(item, at, ("type", "qps", "burst", "cacheSize"))
    kind = item.get("type") or ""
    if kind not in _KEYS:
        choices = ", ".join(f'"{name}"' for name in sorted(_KEYS))
        raise ConfigError(f'{at}.type: Unsupported value: "{kind}": supported values: {choices}')
    for key in ("qps", "burst"):
        if not isinstance(item.get(key), int) or item[key] <= 0:
            raise ConfigError(f"{at}.{key}: Invalid value: {item.get(key, 0)}: must be positive")
    size = item.get("cacheSize", 0)
    if not isinstance(size, int) or size < 0:
        raise ConfigError(f"{at}.cacheSize: Invalid value: {size}: must not be negative")
    return Limit(kind, item["qps"], item["burst"], size or _CACHE)
