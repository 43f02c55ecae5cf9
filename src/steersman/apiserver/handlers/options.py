"""Query options of writes and lists, parsed and checked."""

from __future__ import annotations

from dataclasses import dataclass

from steersman.api.decode import decode
from steersman.api.groups.bodies import DELETE_OPTIONS
from steersman.apiserver.http import Request
from steersman.apiserver.negotiate import body_media_type
from steersman.machinery import fielderrors, gonumbers
from steersman.machinery.errors import BadRequest, Invalid, StatusError
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.gobooleans import query_bool
from steersman.machinery.meta import Obj

_META = "meta.k8s.io"
_VALIDATIONS = ("Ignore", "Warn", "Strict")
_POLICIES = ("Background", "Foreground", "Orphan")


@dataclass(frozen=True, slots=True)
class WriteOptions:
    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = "Warn"
    force: bool = False
    said_validation: str = ""
    """field_validation, if the client said so."""


_DEFAULT = WriteOptions()


def write_options(request: Request, kind: str, *, apply: bool = False) -> WriteOptions:
    """Options of create, update and patch. kind is `CreateOptions`, `UpdateOptions` or `PatchOptions`. Raises Invalid.

    apply: of server-side apply, which must say who it is and may force.
    """
    if not request.raw_query and not apply:
        return _DEFAULT
    errors: list[FieldError] = []
    dry_run = _dry_run([value for key, value in request.query_pairs if key == "dryRun"], errors)
    manager = request.query("fieldManager")
    if len(manager.encode()) > 128:
        errors.append(fielderrors.too_long("fieldManager", 128))
    elif not manager.isprintable():
        errors.append(fielderrors.invalid("fieldManager", manager, "should only contain printable characters"))
    validation = request.query("fieldValidation") or "Warn"
    if validation not in _VALIDATIONS:
        errors.append(fielderrors.not_supported("fieldValidation", validation, ["", *_VALIDATIONS]))
    force = next((query_bool(value) for key, value in request.query_pairs if key == "force"), None)
    if apply and not manager:
        errors.insert(0, fielderrors.required("fieldManager", "is required for apply patch"))
    elif force is not None and kind == "PatchOptions" and not apply:
        errors.append(fielderrors.forbidden("force", "may not be specified for non-apply patch"))
    if errors:
        raise Invalid.of(_META, kind, "", errors)
    return WriteOptions(dry_run, manager, validation, force=bool(force), said_validation=request.query("fieldValidation"))


def _dry_run(values: list[str], errors: list[FieldError]) -> bool:
    if any(value != "All" for value in values):
        errors.append(fielderrors.not_supported("dryRun", values, ["All"]))
    return bool(values)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """propagation: Background, Foreground, Orphan, or empty when the client did not say."""

    dry_run: bool = False
    grace_period_s: int | None = None
    propagation: str = ""
    uid: str = ""
    resource_version: str = ""
    said_no_orphans: bool = False

    def as_object(self) -> Obj:
        """What was said, as fields of the API's DeleteOptions."""
        preconditions = {"uid": self.uid, "resourceVersion": self.resource_version}
        found: Obj = {
            "dryRun": ["All"] if self.dry_run else None,
            "gracePeriodSeconds": self.grace_period_s,
            "propagationPolicy": self.propagation or None,
            "preconditions": {key: value for key, value in preconditions.items() if value} or None,
        }
        return {key: value for key, value in found.items() if value is not None}


def delete_options(request: Request, body: bytes) -> DeleteOptions:
    """Options of delete, from the body if there is one, else from the query. Raises Invalid, BadRequest."""
    return parse_delete_options(_from_body(request, body) if body.strip() else _from_query(request))


def parse_delete_options(given: Obj) -> DeleteOptions:
    """Options from a DeleteOptions object. Raises Invalid."""
    errors: list[FieldError] = []
    dry_run = _dry_run(list(given.get("dryRun") or ()), errors)
    policy = given.get("propagationPolicy") or ""
    orphan = given.get("orphanDependents")
    if policy and orphan is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        errors.append(fielderrors.invalid("propagationPolicy", policy, text))
    elif policy and policy not in _POLICIES:
        errors.append(fielderrors.not_supported("propagationPolicy", policy, ["Background", "Foreground", "Orphan", "nil"]))
    if errors:
        raise Invalid.of(_META, "DeleteOptions", "", errors)
    if orphan is not None:
        policy = "Orphan" if orphan else "Background"
    preconditions = given.get("preconditions") or {}
    return DeleteOptions(
        dry_run=dry_run,
        grace_period_s=given.get("gracePeriodSeconds"),
        propagation=policy,
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        said_no_orphans=orphan is False,
    )


def _from_body(request: Request, body: bytes) -> Obj:
    """Those of another kind that clients once sent (of the group of what is deleted) are taken as well. Raises BadRequest."""
    return decode(body, body_media_type(request), DELETE_OPTIONS, "Ignore")[0]


def _from_query(request: Request) -> Obj:
    if not request.raw_query:
        return {}
    given: Obj = {"dryRun": [value for key, value in request.query_pairs if key == "dryRun"]}
    grace = request.query("gracePeriodSeconds")
    if grace:
        try:
            given["gracePeriodSeconds"] = gonumbers.parse_int(grace)
        except ValueError as fault:
            raise BadRequest(str(fault)) from fault
    given["propagationPolicy"] = request.query("propagationPolicy")
    orphan = request.query("orphanDependents")
    if orphan:
        given["orphanDependents"] = query_bool(orphan)
    return given


@dataclass(frozen=True, slots=True)
class ListOptions:
    """resourceVersion and continue as sent; `limit` 0 = all; initial_events None when not given."""

    resource_version: str = ""
    match: str = ""
    limit: int = 0
    continue_: str = ""
    label_selector: str = ""
    field_selector: str = ""
    watch_bookmarks: bool = False
    initial_events: bool | None = None
    timeout_s: int = 0


NO_LIST_OPTIONS = ListOptions()


def list_options(request: Request) -> ListOptions:
    """Raises BadRequest for numbers that are none."""
    if not request.raw_query:
        return NO_LIST_OPTIONS
    first: dict[str, str] = {}
    for key, value in request.query_pairs:
        first.setdefault(key, value)
    initial = first.get("sendInitialEvents")
    return ListOptions(
        resource_version=first.get("resourceVersion", ""),
        match=first.get("resourceVersionMatch", ""),
        limit=_number(first.get("limit", "")),
        continue_=first.get("continue", ""),
        label_selector=first.get("labelSelector", ""),
        field_selector=first.get("fieldSelector", ""),
        watch_bookmarks=query_bool(first.get("allowWatchBookmarks")),
        initial_events=None if initial is None else query_bool(initial),
        timeout_s=_number(first.get("timeoutSeconds", "")),
    )


def _number(text: str) -> int:
    if not text:
        return 0
    try:
        return max(0, gonumbers.parse_int(text))
    except ValueError as fault:
        raise BadRequest(str(fault)) from fault


def check_match(options: ListOptions, *, watch: bool) -> None:
    """The combinations of resourceVersionMatch, resourceVersion, continue and sendInitialEvents. Raises Invalid."""
    errors = _watch_match(options) if watch else _list_match(options)
    if errors:
        raise Invalid.of(_META, "ListOptions", "", errors)


def _list_match(options: ListOptions) -> list[FieldError]:
    errors: list[FieldError] = []
    field = "resourceVersionMatch"
    if options.match:
        if not options.resource_version:
            errors.append(fielderrors.forbidden(field, f"{field} is forbidden unless resourceVersion is provided"))
        if options.continue_:
            errors.append(fielderrors.forbidden(field, f"{field} is forbidden when continue is provided"))
        if options.match not in ("Exact", "NotOlderThan"):
            errors.append(fielderrors.not_supported(field, options.match, ["Exact", "NotOlderThan", ""]))
        if options.match == "Exact" and options.resource_version == "0":
            errors.append(fielderrors.forbidden(field, f'{field} "exact" is forbidden for resourceVersion "0"'))
    if options.initial_events is not None:
        errors.append(fielderrors.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return errors


def _watch_match(options: ListOptions) -> list[FieldError]:
    if options.initial_events is not None and options.match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        return [fielderrors.forbidden("resourceVersionMatch", text)]
    if options.initial_events is None and options.match:
        text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        return [fielderrors.forbidden("resourceVersionMatch", text)]
    return []


def parse_revision(text: str) -> int:
    """A resourceVersion; empty is 0. Raises the bare 500 that upstream answers for get and watch."""
    try:
        return read_revision(text)
    except ValueError as fault:
        raise StatusError(str(fault)) from fault


def read_revision(text: str) -> int:
    """The same. Raises ValueError."""
    try:
        return gonumbers.parse_uint(text) if text else 0
    except ValueError as fault:
        raise ValueError(f'resourceVersion: Invalid value: "{text}": {fault}') from None
