"""The webhooks that are configured, each made ready for matching: once per change of its configuration, not per request.

They are followed in the watch cache, so a change holds from the next request on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from steersman.api.validation.admission_expressions import WEBHOOKS
from steersman.apiserver.admission.matching import Rules, Selectors
from steersman.apiserver.admission.policies.compiled import Expression
from steersman.apiserver.contracts import Lister
from steersman.machinery import cel
from steersman.machinery.meta import Obj, name_of, resource_version_of, uid_of


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook of a configuration. uid: what tells it from all others, as upstream writes it."""

    configuration: str
    uid: str
    spec: Obj
    rules: Rules
    selectors: Selectors
    conditions: Sequence[Expression]

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def ignores_failures(self) -> bool:
        return self.spec.get("failurePolicy") == "Ignore"

    @property
    def timeout_s(self) -> float:
        return float(self.spec.get("timeoutSeconds") or 10)

    @property
    def client(self) -> Obj:
        found: Obj = self.spec["clientConfig"]
        return found

    @property
    def reinvocable(self) -> bool:
        return self.spec.get("reinvocationPolicy") == "IfNeeded"

    @property
    def without_effects(self) -> bool:
        """Whether a dry run may ask it."""
        return self.spec.get("sideEffects") in ("None", "NoneOnDryRun")


class Configured:
    """All webhooks of one sort. `current` costs a comparison while nothing changes."""

    def __init__(self, lister: Lister) -> None:
        self._lister = lister
        self._seen = -1
        self._hooks: Sequence[Hook] = ()
        self._made: dict[tuple[str, int], Sequence[Hook]] = {}

    def current(self) -> Sequence[Hook]:
        """By the names of configurations, then as these have them."""
        version = self._lister.version
        if version != self._seen:
            self._hooks, self._seen = self._all(), version
        return self._hooks

    def _all(self) -> Sequence[Hook]:
        known, self._made = self._made, {}
        hooks: list[Hook] = []
        for obj in sorted(self._lister.list(), key=name_of):
            key = (uid_of(obj), resource_version_of(obj))
            made = known.get(key)
            self._made[key] = made = made if made is not None else _hooks(obj)
            hooks += made
        return hooks


def _hooks(configuration: Obj) -> Sequence[Hook]:
    name = name_of(configuration)
    times: dict[str, int] = {}
    made: list[Hook] = []
    for spec in configuration.get("webhooks") or ():
        number = times[spec["name"]] = times.get(spec["name"], -1) + 1
        rules = Rules(spec.get("rules"), exact=spec.get("matchPolicy") == "Exact")
        conditions = [_condition(item["expression"]) for item in spec.get("matchConditions") or ()]
        made.append(Hook(name, f"{name}/{spec['name']}/{number}", spec, rules, Selectors.of(spec), conditions))
    return made


def _condition(source: str) -> Expression:
    """What does not compile (a later server may have written it) fails when a request comes to it."""
    text = source.strip()
    try:
        return Expression(text, cel.compile(text, WEBHOOKS))
    except (cel.CelError, cel.InstantiationError) as fault:
        return Expression(text, None, str(fault))
