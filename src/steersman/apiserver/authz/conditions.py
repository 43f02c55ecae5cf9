"""Match conditions of an authorization webhook: whether it is asked at all, by expressions over the request (KEP-3221). Pure.

Source: upstream apiserver/pkg/authorization/cel.
"""

from __future__ import annotations

from collections.abc import Sequence

from steersman.machinery import cel
from steersman.machinery.cel import types
from steersman.machinery.meta import Obj


def _object(kind: str, /, **fields: types.Type) -> types.Type:
    return types.object_of(f"kubernetes.{kind}", {key: types.Field(type_, key) for key, type_ in fields.items()})


_REQUIREMENT = _object("SelectorRequirement", key=types.STRING, operator=types.STRING, values=types.list_of(types.STRING))
_SELECTOR = _object("SelectorAttributes", rawSelector=types.STRING, requirements=types.list_of(_REQUIREMENT))
_RESOURCE = _object(
    "ResourceAttributes",
    namespace=types.STRING,
    verb=types.STRING,
    group=types.STRING,
    version=types.STRING,
    resource=types.STRING,
    subresource=types.STRING,
    name=types.STRING,
    fieldSelector=_SELECTOR,
    labelSelector=_SELECTOR,
)
_PATH = _object("NonResourceAttributes", path=types.STRING, verb=types.STRING)
_REQUEST = _object(
    "SubjectAccessReviewSpec",
    resourceAttributes=_RESOURCE,
    nonResourceAttributes=_PATH,
    user=types.STRING,
    uid=types.STRING,
    groups=types.list_of(types.STRING),
    extra=types.map_of(types.STRING, types.list_of(types.STRING)),
)
_TEXTS = dict.fromkeys(("namespace", "verb", "group", "version", "resource", "subresource", "name"), "")
_ENV = cel.KUBERNETES.with_variables(request=_REQUEST)


class ConditionFault(ValueError):
    """A condition that cannot be used, or came to no value."""


def compiled(source: str) -> cel.Program:
    """Raises ConditionFault."""
    try:
        program = cel.compile(source, _ENV)
    except (cel.CelError, cel.InstantiationError) as fault:
        raise ConditionFault(f"compilation failed: {fault}") from fault
    if program.type != types.BOOL:
        raise ConditionFault("must evaluate to bool")
    return program


def match(conditions: Sequence[cel.Program], spec: Obj) -> bool:
    """Whether all hold of a SubjectAccessReview's spec. One that is false counts, whatever is wrong with others.

    Raises ConditionFault.
    """
    faults = []
    request = _whole(spec)
    for condition in conditions:
        try:
            if not condition.evaluate({"request": request}):
                return False
        except cel.CelFault as fault:
            faults.append(f"cel evaluation error: expression '{condition.source}' resulted in error: {fault}")
    if faults:
        raise ConditionFault("; ".join(faults))
    return True


def _whole(spec: Obj) -> Obj:
    """As expressions see it: what a user and attributes always have is there, even if empty."""
    found: Obj = {"user": "", "groups": [], "uid": "", "extra": {}, **spec}
    if "resourceAttributes" in spec:
        found["resourceAttributes"] = _TEXTS | spec["resourceAttributes"]
    if "nonResourceAttributes" in spec:
        found["nonResourceAttributes"] = {"path": "", "verb": "", **spec["nonResourceAttributes"]}
    return found
