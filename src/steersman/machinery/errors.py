"""API errors: one StatusError class per reason, made where the fault is, turned into the wire form in one place.

Source: API conventions, "Response Status Kind"; upstream apimachinery pkg/api/errors for codes, reasons and messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj


class StatusError(Exception):
    """A failed API request.

    `details` is the Status object's details (name, group, kind, uid, causes, retryAfterSeconds); empty keys are left out.
    """

    code: ClassVar[int] = 500
    reason: ClassVar[str] = ""

    def __init__(self, message: str, *, details: Obj | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: Obj | None = {k: v for k, v in details.items() if v} if details is not None else None
        if retry_after_s is not None:
            self.details = {**(self.details or {}), "retryAfterSeconds": retry_after_s}
        self.retry_after_s = retry_after_s

    def status(self) -> Obj:
        """The metav1.Status object of this error."""
        body: Obj = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message}
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body

    @property
    def causes(self) -> list[Obj]:
        return list((self.details or {}).get("causes") or ())


def _resource_details(group: str, plural: str, name: str) -> Obj:
    return {"name": name, "group": group, "kind": plural}


def _qualified(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


class BadRequest(StatusError):
    code, reason = 400, "BadRequest"


class Unauthorized(StatusError):
    code, reason = 401, "Unauthorized"

    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__(message)


class Forbidden(StatusError):
    """403. `of` makes the usual `<resource> "<name>" is forbidden: <why>`."""

    code, reason = 403, "Forbidden"

    @classmethod
    def of(cls, group: str, plural: str, name: str, why: str, *, causes: Sequence[Obj] = ()) -> Forbidden:
        subject = f'{_qualified(group, plural)} "{name}"' if name else _qualified(group, plural)
        details = _resource_details(group, plural, name)
        return cls(f"{subject} is forbidden: {why}", details={**details, "causes": list(causes)})


class NotFound(StatusError):
    code, reason = 404, "NotFound"

    @classmethod
    def of(cls, group: str, plural: str, name: str) -> NotFound:
        return cls(f'{_qualified(group, plural)} "{name}" not found', details=_resource_details(group, plural, name))


class MethodNotAllowed(StatusError):
    code, reason = 405, "MethodNotAllowed"

    def __init__(self, message: str = "the server does not allow this method on the requested resource") -> None:
        super().__init__(message, details={})


class NotAcceptable(StatusError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(StatusError):
    code, reason = 409, "AlreadyExists"

    @classmethod
    def of(cls, group: str, plural: str, name: str, *, deleting: bool = False) -> AlreadyExists:
        lead = "object is being deleted: " if deleting else ""
        return cls(
            f'{lead}{_qualified(group, plural)} "{name}" already exists',
            details=_resource_details(group, plural, name),
        )


class Conflict(StatusError):
    code, reason = 409, "Conflict"

    @classmethod
    def of(cls, group: str, plural: str, name: str, why: str = "") -> Conflict:
        why = why or ("the object has been modified; please apply your changes to the latest version and try again")
        return cls(
            f'Operation cannot be fulfilled on {_qualified(group, plural)} "{name}": {why}',
            details=_resource_details(group, plural, name),
        )


class Expired(StatusError):
    """410: a resourceVersion or continue token is too old. `continue_` is a token to go on with, if there is one."""

    code, reason = 410, "Expired"
    continue_: str = ""

    def status(self) -> Obj:
        body = super().status()
        return {**body, "metadata": {"continue": self.continue_}} if self.continue_ else body


class RequestEntityTooLarge(StatusError):
    code, reason = 413, "RequestEntityTooLarge"

    @classmethod
    def of(cls, limit_bytes: int) -> RequestEntityTooLarge:
        return cls(f"Request entity too large: limit is {limit_bytes}")


class UnsupportedMediaType(StatusError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(StatusError):
    """422: validation. One cause per field error; equal errors are merged."""

    code, reason = 422, "Invalid"

    @classmethod
    def of(cls, group: str, kind: str, name: str, errors: Sequence[FieldError]) -> Invalid:
        texts = list(dict.fromkeys(str(error) for error in errors))
        joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        subject = f"{kind}.{group}" if group else kind
        details: Obj = {"name": name, "group": group, "kind": kind, "causes": [error.cause() for error in errors]}
        return cls(f'{subject} "{name}" is invalid: {joined}', details=details)


class TooManyRequests(StatusError):
    code, reason = 429, "TooManyRequests"


class InternalError(StatusError):
    code, reason = 500, "InternalError"

    @classmethod
    def of(cls, why: str) -> InternalError:
        return cls(f"Internal error occurred: {why}", details={"causes": [{"message": why}]})


class ServerTimeout(StatusError):
    code, reason = 500, "ServerTimeout"


class ServiceUnavailable(StatusError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(StatusError):
    code, reason = 504, "Timeout"

    @classmethod
    def too_large_resource_version(cls, wanted: int, current: int) -> Timeout:
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        return cls(
            f"Timeout: Too large resource version: {wanted}, current: {current}",
            details={"causes": [cause]},
            retry_after_s=1,
        )


class UnknownStatus(StatusError):
    """A Status from a server whose reason has no class here; keeps what was received."""

    def __init__(self, body: Obj, code: int) -> None:
        super().__init__(str(body.get("message") or f"the server answered {code}"), details=body.get("details"))
        self._body, self.http_code = body, code

    def status(self) -> Obj:
        return self._body


_BY_REASON: dict[str, type[StatusError]] = {
    cls.reason: cls
    for cls in (
        BadRequest, Forbidden, NotFound, NotAcceptable, AlreadyExists, Conflict, Expired, RequestEntityTooLarge,
        UnsupportedMediaType, Invalid, TooManyRequests, InternalError, ServerTimeout, ServiceUnavailable, Timeout,
    )
}  # fmt: skip


def from_status(body: Any, code: int) -> StatusError:
    """The error a server's answer stands for: client side. Bodies that are no Status become UnknownStatus."""
    if not isinstance(body, dict) or body.get("kind") != "Status":
        return UnknownStatus({"kind": "Status", "message": f"the server answered {code}: {str(body)[:200]}"}, code)
    message = str(body.get("message") or "")
    reason = body.get("reason") or ""
    if reason == Unauthorized.reason:
        return Unauthorized(message or "Unauthorized")
    if reason == MethodNotAllowed.reason:
        return MethodNotAllowed(message)
    cls = _BY_REASON.get(reason)
    if cls is None:
        return UnknownStatus(body, code)
    details = body.get("details") or {}
    return cls(message, details=details, retry_after_s=details.get("retryAfterSeconds"))
