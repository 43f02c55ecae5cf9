"""JSON patch (RFC 6902) with the dialect of upstream's library: negative indexes, `test` of a missing key against null.

Application is all or nothing; only containers on the touched paths are copied.
"""

from __future__ import annotations

import copy
from typing import Any

import orjson

from steersman.machinery import depth
from steersman.machinery.errors import BadRequest, RequestEntityTooLarge
from steersman.machinery.patch.errors import PatchRejected
from steersman.machinery.patch.merge import same

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 3 * 1024 * 1024

_MISSING = "missing value"
_BAD_INDEX = "invalid index referenced"


class _Fault(Exception):
    """An operation's fault; `missing` tells a missing member from other faults."""

    def __init__(self, text: str, *, missing: bool = False) -> None:
        super().__init__(text)
        self.missing = missing


def decode(body: bytes) -> list[dict[str, Any]]:
    """The operations of a request body. Raises BadRequest, RequestEntityTooLarge."""
    try:
        ops = depth.loads(body)
    except depth.TooDeep:
        raise depth.error() from None
    except ValueError as error:
        raise BadRequest(f"error decoding patch: {error}") from None
    if not isinstance(ops, list) or not all(isinstance(op, dict) for op in ops):
        raise BadRequest("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    if len(ops) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(
            f"Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(ops)}"
        )
    return ops


def apply(doc: Any, ops: list[dict[str, Any]]) -> Any:
    """The document after all operations. Raises PatchRejected, whose `why` names the fault."""
    run = _Run(doc)
    try:
        for op in ops:
            run.perform(op)
    except _Fault as fault:
        raise PatchRejected(str(fault)) from None
    return run.root


class _Run:
    """One application: the root and which containers are already copies of our own."""

    def __init__(self, doc: Any) -> None:
        self.root = doc
        self._own: dict[int, Any] = {}
        self._copied_bytes = 0

    def perform(self, op: dict[str, Any]) -> None:
        kind, path = op.get("op"), op.get("path")
        if kind not in ("add", "remove", "replace", "move", "copy", "test"):
            raise _Fault(f"Unexpected kind: {kind if isinstance(kind, str) else 'unknown'}")
        if not isinstance(path, str):
            raise _Fault(f"{kind} operation failed to decode path: {_MISSING}")
        match kind:
            case "add":
                self._add(path, op.get("value"), f'add operation does not apply: doc is missing path: "{path}"', "add")
            case "remove":
                self._remove(path, f'remove operation does not apply: doc is missing path: "{path}"', path)
            case "replace":
                self._replace(path, op.get("value"))
            case "test":
                self._test(path, op.get("value"))
            case _:
                source = op.get("from")
                if not isinstance(source, str):
                    raise _Fault(f"{kind} operation failed to decode from: {_MISSING}")
                self._relocate(kind, source, path)

    def _add(self, path: str, value: Any, missing: str, verb: str) -> None:
        if path == "":
            self.root = value
            return
        container, key = self._locate(path, missing)
        try:
            if isinstance(container, dict):
                container[key] = value
            elif key == "-":
                container.append(value)
            else:
                container.insert(_index(key, len(container) + 1), value)
        except _Fault as fault:
            raise _Fault(f"error in {verb} for path: '{path}': {fault}") from None

    def _remove(self, path: str, missing: str, shown: str, verb: str = "remove") -> None:
        container, key = self._locate(path, missing)
        try:
            if isinstance(container, dict):
                if key not in container:
                    raise _Fault(f"Unable to remove nonexistent key: {key}: {_MISSING}")
                del container[key]
            else:
                del container[_index(key, len(container))]
        except _Fault as fault:
            raise _Fault(f"error in {verb} for path: '{shown}': {fault}") from None

    def _replace(self, path: str, value: Any) -> None:
        if path == "":
            self.root = value
            return
        container, key = self._locate(path, f"replace operation does not apply: doc is missing path: {path}")
        try:
            _get(container, key)
        except _Fault:
            raise _Fault(f"replace operation does not apply: doc is missing key: {path}: {_MISSING}") from None
        if isinstance(container, dict):
            container[key] = value
        else:
            container[_index(key, len(container))] = value

    def _test(self, path: str, wanted: Any) -> None:
        if path == "":
            found = self.root
        else:
            container, key = self._locate(path, f"test operation does not apply: is missing path: {path}")
            try:
                found = _get(container, key)
            except _Fault as fault:
                if not fault.missing:
                    raise _Fault(f"error in test for path: '{path}': {fault}") from None
                found = None
        if not same(found, wanted):
            raise _Fault(f"testing value {path} failed: test failed")

    def _relocate(self, kind: str, source: str, path: str) -> None:
        if source == "":
            value = self.root
        else:
            container, key = self._locate(source, f"{kind} operation does not apply: doc is missing from path: {source}")
            try:
                value = _get(container, key)
            except _Fault as fault:
                raise _Fault(f"error in {kind} for path: '{key}': {fault}") from None
            if kind == "move":
                self._remove(source, "", key, "move")
        if kind == "copy":
            value = self._copy(value)
        self._add(path, value, f"{kind} operation does not apply: doc is missing destination path: {path}", kind)

    def _copy(self, value: Any) -> Any:
        if depth.exceeded(value):
            # Moves of parts into each other make thousands of levels of a few operations.
            raise depth.error()
        self._copied_bytes += len(orjson.dumps(value))
        if self._copied_bytes > MAX_COPIED_BYTES:
            raise _Fault(
                "Unable to complete the copy, the accumulated size increase of copy is "
                f"{self._copied_bytes}, exceeding the limit {MAX_COPIED_BYTES}"
            )
        return copy.deepcopy(value)

    def _locate(self, path: str, missing: str) -> tuple[Any, str]:
        """The container of a path's last part, our own copy of it, and the decoded last part."""
        parts = path.split("/")
        if len(parts) < 2:
            raise _Fault(f"{missing}: {_MISSING}")
        self.root = container = self._owned(self.root)
        if not isinstance(container, dict | list):
            raise _Fault(f"{missing}: {_MISSING}")
        for part in parts[1:-1]:
            key = _unescape(part)
            try:
                inner = _get(container, key)
            except _Fault:
                inner = None
            if not isinstance(inner, dict | list):
                raise _Fault(f"{missing}: {_MISSING}")
            inner = self._owned(inner)
            if isinstance(container, dict):
                container[key] = inner
            else:
                container[_index(key, len(container))] = inner
            container = inner
        return container, _unescape(parts[-1])

    def _owned(self, container: Any) -> Any:
        if id(container) in self._own or not isinstance(container, dict | list):
            return container
        mine = container.copy()
        # Held by identity; the reference kept here also prevents the id from being reused.
        self._own[id(mine)] = mine
        return mine


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~") if "~" in part else part


def _get(container: Any, key: str) -> Any:
    if isinstance(container, dict):
        if key not in container:
            raise _Fault(f"unable to get nonexistent key: {key}: {_MISSING}", missing=True)
        return container[key]
    return container[_index(key, len(container))]


def _index(key: str, length: int) -> int:
    """A list index below `length`; negative ones count from the end."""
    try:
        index = int(key) if key.isascii() and not key[:1].isspace() and "_" not in key else None
    except ValueError:
        index = None
    if index is None:
        raise _Fault(f'strconv.Atoi: parsing "{key}": invalid syntax')
    if index >= length or index < -length:
        raise _Fault(f"Unable to access invalid index: {index}: {_BAD_INDEX}")
    return index + length if index < 0 else index
