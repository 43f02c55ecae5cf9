"""What the expressions of webhooks and policies may name, and whether they compile (KEP-3488, KEP-3716, KEP-3962).

Objects are of any type here: what a kind has is looked at when a request is judged (upstream pkg/apis/admissionregistration/
validation compiles in the same way). What is stored already is not compiled again.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Protocol

from steersman.api.validation.common import Errors
from steersman.machinery import cel
from steersman.machinery.cel import types
from steersman.machinery.cel.library.authorizer import AUTHORIZER, RESOURCE_CHECK
from steersman.machinery.cel.library.mutations import JSON_PATCH, OBJECT
from steersman.machinery.cel.types import Field, Type
from steersman.machinery.fielderrors import invalid
from steersman.machinery.meta import Obj


def _object(kind: str, /, **fields: Type) -> Type:
    return types.object_of(f"kubernetes.{kind}", {key: Field(type_, key) for key, type_ in fields.items()})


_GVK = _object("GroupVersionKind", group=types.STRING, version=types.STRING, kind=types.STRING)
_GVR = _object("GroupVersionResource", group=types.STRING, version=types.STRING, resource=types.STRING)
_USER = _object(
    "UserInfo",
    username=types.STRING,
    uid=types.STRING,
    groups=types.list_of(types.STRING),
    extra=types.map_of(types.STRING, types.list_of(types.STRING)),
)
REQUEST = _object(
    "AdmissionRequest",
    kind=_GVK,
    resource=_GVR,
    subResource=types.STRING,
    requestKind=_GVK,
    requestResource=_GVR,
    requestSubResource=types.STRING,
    name=types.STRING,
    namespace=types.STRING,
    operation=types.STRING,
    userInfo=_USER,
    dryRun=types.BOOL,
    options=types.DYN,
)
_METADATA = _object(
    "NamespaceMetadata",
    name=types.STRING,
    generateName=types.STRING,
    namespace=types.STRING,
    uid=types.STRING,
    resourceVersion=types.STRING,
    generation=types.INT,
    creationTimestamp=types.TIMESTAMP,
    deletionTimestamp=types.TIMESTAMP,
    deletionGracePeriodSeconds=types.INT,
    labels=types.map_of(types.STRING, types.STRING),
    annotations=types.map_of(types.STRING, types.STRING),
    finalizers=types.list_of(types.STRING),
)
NAMESPACE = _object(
    "Namespace",
    metadata=_METADATA,
    spec=_object("NamespaceSpec", finalizers=types.list_of(types.STRING)),
    status=_object("NamespaceStatus", phase=types.STRING),
)
_AUTHORIZER: dict[str, Type] = {"authorizer": AUTHORIZER, "authorizer.requestResource": RESOURCE_CHECK}
WEBHOOKS = cel.KUBERNETES.with_variables(
    object=types.DYN, oldObject=types.DYN, request=REQUEST, namespaceObject=NAMESPACE, **_AUTHORIZER
)
"""What match conditions of webhooks may name."""
PATCHES: dict[str, Type] = {"ApplyConfiguration": OBJECT, "JSONPatch": types.list_of(JSON_PATCH)}
"""What mutations of each patchType must evaluate to."""


class Compiler(Protocol):
    """Adds to the errors what is wrong with an expression."""

    def __call__(self, errors: Errors, path: str, source: str, /) -> None: ...


def webhook_condition(errors: Errors, path: str, source: str, *, known: AbstractSet[object] = frozenset()) -> None:
    """A match condition of a webhook. `known`: texts that are stored already."""
    if source.strip() and source not in known:
        _check(errors, path, source, WEBHOOKS, (types.BOOL,))


class Scope:
    """What the expressions of one policy may name. Variables are declared one after the other: each sees the earlier ones.

    object: the type of `object` and `oldObject`. params: that of `params`; None for policies without a paramKind.
    """

    def __init__(self, *, params: Type | None, object: Type = types.DYN) -> None:
        given: dict[str, Type] = {"object": object, "oldObject": object, "request": REQUEST, "namespaceObject": NAMESPACE}
        if params is not None:
            given["params"] = params
        self._given = given
        self._variables: dict[str, Field] = {}

    def declare(self, name: str, found: Type | None) -> None:
        """found: None for a variable that does not compile."""
        self._variables = {**self._variables, name: Field(found or types.DYN, name)}

    def env(self, base: cel.Env = cel.KUBERNETES, *, authorizer: bool = True) -> cel.Env:
        """What names mean, with the variables that are declared by now."""
        more = _AUTHORIZER if authorizer else {}
        variables = types.object_of("kubernetes.variables", self._variables)
        return base.with_variables(**self._given, **more, variables=variables)


class Expressions:
    """Those of one policy, in the order in which they see one another: variables see the earlier ones."""

    def __init__(self, spec: Obj, old: Obj | None) -> None:
        self._scope = Scope(params=types.DYN if spec.get("paramKind") is not None else None)
        before = (old or {}).get("spec") or {}
        # What an expression means depends on parameters and variables as well.
        same = all(before.get(key) == spec.get(key) for key in ("paramKind", "variables"))
        self._stored = frozenset(_texts(before)) if old is not None and same else frozenset()

    def variable(self, errors: Errors, path: str, name: str, source: str) -> None:
        self._scope.declare(name, _check(errors, path, source, self._scope.env(), ()))

    def condition(self, errors: Errors, path: str, source: str) -> None:
        """Before the variables are declared: match conditions have none."""
        self._one(errors, path, source, (types.BOOL,))

    def validation(self, errors: Errors, path: str, source: str) -> None:
        self._one(errors, path, source, (types.BOOL,))

    def message(self, errors: Errors, path: str, source: str) -> None:
        if source not in self._stored:
            _check(errors, path, source, self._scope.env(authorizer=False), (types.STRING,))

    def mutation(self, errors: Errors, path: str, patch_type: str, source: str) -> None:
        if source not in self._stored:
            _check(errors, path, source, self._scope.env(cel.MUTATIONS), (PATCHES[patch_type],))

    def annotation(self, errors: Errors, path: str, source: str) -> None:
        self._one(errors, path, source, (types.STRING, types.NULL))

    def _one(self, errors: Errors, path: str, source: str, wanted: tuple[Type, ...]) -> None:
        if source.strip() and source not in self._stored:
            _check(errors, path, source, self._scope.env(), wanted)


def _texts(spec: Obj) -> list[str]:
    """All expressions of a stored policy, but for its variables."""
    found = [item.get("expression") or "" for key in ("matchConditions", "validations") for item in spec.get(key) or ()]
    found += [item.get("messageExpression") or "" for item in spec.get("validations") or ()]
    found += [item.get("valueExpression") or "" for item in spec.get("auditAnnotations") or ()]
    blocks = [item.get(key) or {} for item in spec.get("mutations") or () for key in ("applyConfiguration", "jsonPatch")]
    found += [block.get("expression") or "" for block in blocks]
    return [text.strip() for text in found]


def _check(errors: Errors, path: str, source: str, env: cel.Env, wanted: tuple[Type, ...]) -> Type | None:
    """The type that the expression has, if it compiles."""
    try:
        program = cel.compile(source, env)
    except cel.CelError as fault:
        errors.append(invalid(path, source, f"compilation failed: {fault}"))
        return None
    except cel.InstantiationError as fault:
        errors.append(invalid(path, source, f"program instantiation failed: {fault}"))
        return None
    if wanted and program.type not in wanted:
        names = [_shown(kind) for kind in wanted]
        text = names[0] if len(names) == 1 else f"one of [{' '.join(names)}]"
        errors.append(invalid(path, source, f"must evaluate to {text} but got {_shown(program.type)}"))
    return program.type


def _shown(kind: Type) -> str:
    inner = ", ".join(map(_shown, kind.params))
    return f"{kind.runtime_name}({inner})" if inner else kind.runtime_name
