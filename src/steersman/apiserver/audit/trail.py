"""One request's events: made when it is known who asks, told stage by stage.

RequestReceived comes at once, ResponseStarted only of what goes on for long (watches, exec, logs), ResponseComplete or Panic at
the end. Source: upstream apiserver/pkg/endpoints/filters/audit.go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import orjson

from steersman.apiserver.audit import bodies, event
from steersman.apiserver.audit.policy import COMPLETE, PANIC, RECEIVED, STARTED, Verdict
from steersman.apiserver.contracts import RequestInfo, UserInfo
from steersman.apiserver.http import RawConnection, Request, Response
from steersman.apiserver.negotiate import JSON
from steersman.machinery.meta import Obj

_SWITCHING = 101
_CLOSED_EARLY: Obj = {"metadata": {}, "status": "Success", "message": "Connection closed early", "code": 200}
_UNREADABLE = (400, 413, 415)
"""Answers to bodies that are no object: there is nothing to show."""
_PASSED_ON = frozenset(("proxy", "attach", "exec", "portforward", "log"))
_ORDER = (
    "level", "auditID", "stage", "requestURI", "verb", "user", "impersonatedUser", "authenticationMetadata", "sourceIPs",
    "userAgent", "objectRef", "responseStatus", "requestObject", "responseObject", "requestReceivedTimestamp", "stageTimestamp",
    "annotations",
)  # fmt: skip


class Teller(Protocol):
    """What a trail needs of the auditor."""

    def tell(self, body: bytes) -> None: ...

    def explain(self, user: UserInfo, info: RequestInfo) -> str: ...

    def now(self) -> str: ...


_PATCHES = "patch.webhook.admission.k8s.io/"


class Trail:
    """Implements contracts.Trail."""

    def __init__(
        self, id_: str, request: Request, info: RequestInfo, user: UserInfo | None, verdict: Verdict, teller: Teller
    ) -> None:
        self._request, self._info, self._verdict, self._teller = request, info, verdict, teller
        self.id = id_
        self.annotations: dict[str, str] = {}
        self._body = b""
        self._ended = self._begun = False
        self._received = teller.now()
        self._event: Obj = {
            "level": verdict.level,
            "auditID": id_,
            "requestURI": event.request_uri(request),
            "verb": info.verb,
            "user": event.user_info(user),
            "sourceIPs": event.source_ips(request),
            "userAgent": event.user_agent(request),
            "objectRef": event.object_ref(info),
            "requestReceivedTimestamp": self._received,
        }
        if verdict.request and request.read_body is not None:
            request.read_body = self._noting(request.read_body)
        if request.take_over is not None:
            request.take_over = self._announcing(request.take_over)

    def received(self) -> None:
        self._tell(RECEIVED, self._received)

    # --- on its way ---

    def impersonates(self, user: UserInfo, constraint: str) -> None:
        self._event["impersonatedUser"] = event.user_info(user)
        if constraint:
            self._event["authenticationMetadata"] = {"impersonationConstraint": constraint}

    def decided(self, user: UserInfo, asked: RequestInfo, allowed: bool, reason: str) -> None:
        self.annotations["authorization.k8s.io/decision"] = "allow" if allowed else "forbid"
        # On its way a request is told only that it may: why takes longer to say.
        self.annotations["authorization.k8s.io/reason"] = reason or (self._teller.explain(user, asked) if allowed else "")

    def requested(self, obj: Obj) -> None:
        """The object that was sent, as the server has understood it."""
        self._event["objectRef"] = event.completed(self._event["objectRef"], obj)
        if self._verdict.request:
            self._event["requestObject"] = orjson.Fragment(orjson.dumps(self._shown(obj)))

    def _noting(self, read: Callable[[], Awaitable[bytes]]) -> Callable[[], Awaitable[bytes]]:
        async def read_body() -> bytes:
            self._body = await read()
            return self._body

        return read_body

    def _announcing(self, take_over: Callable[[], Awaitable[RawConnection]]) -> Callable[[], Awaitable[RawConnection]]:
        """A connection that is taken over is a response that has started."""

        async def take() -> RawConnection:
            connection = await take_over()
            self._answer_with({"metadata": {}, "code": _SWITCHING})
            self._start()
            return connection

        return take

    # --- its answer ---

    def answered(self, response: Response, long_running: bool) -> None:
        """There is an answer; if it is streamed, `completed` follows at its end."""
        if self._ended:
            return
        if not response.upgraded:
            self._note(response, long_running)
        if long_running:
            self._start()
        if response.chunks is None:
            self.completed()

    def completed(self) -> None:
        if not self._ended:
            self._ended = True
            self._event.setdefault("responseStatus", _CLOSED_EARLY)
            self._tell(COMPLETE)

    def panicked(self, fault: BaseException) -> None:
        """The request has met a bug: no other stage follows."""
        message = f"APIServer panic'd: {fault}"
        self._answer_with({"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500})
        self._ended = True
        self._tell(PANIC)

    def refused(self, message: str) -> None:
        """Nobody is known to ask: the only stage there is."""
        self._answer_with({"metadata": {}, "message": message, "code": 401})
        self._start()
        self._ended = True

    def _note(self, response: Response, long_running: bool) -> None:
        # What a kubelet or a pod answers is no object of the server's.
        passed_on = long_running and self._info.subresource in _PASSED_ON
        found = None if response.chunks is not None or passed_on else self._object_in(response)
        status: Obj = {"metadata": {}}
        if found is not None:
            if found["kind"] == "Status":
                status = bodies.bounded_status(found)
            if self._verdict.response:
                self._event["responseObject"] = orjson.Fragment(orjson.dumps(self._shown(found)))
        self._answer_with({**status, "code": response.status})
        if self._body and "requestObject" not in self._event and response.status not in _UNREADABLE and not passed_on:
            self._note_request()

    def _object_in(self, response: Response) -> Obj | None:
        """The answer, as far as it is of interest: all of it, or only a Status."""
        if not (self._verdict.response or response.status >= 400 or bodies.may_be_status(response.body)):
            return None
        try:
            found = bodies.read(response.whole(), response.content_type.partition(";")[0])
        except ValueError:
            return None
        return found if isinstance(found, dict) and found.get("kind") else None

    def _note_request(self) -> None:
        """What was sent is no object of the resource's: a patch, options, a review."""
        sent_as = self._request.headers.get("content-type", JSON).partition(";")[0].strip()
        try:
            found = bodies.read(self._body, sent_as)
        except ValueError:
            return
        self._event["requestObject"] = orjson.Fragment(orjson.dumps(self._shown(found)))

    def _shown(self, obj: Any) -> Any:
        return bodies.without_managed_fields(obj) if self._verdict.omit_managed_fields else obj

    # --- telling ---

    def _answer_with(self, status: Obj) -> None:
        self._event["responseStatus"] = status

    def _start(self) -> None:
        if not self._begun:
            self._begun = True
            self._tell(STARTED)

    def _tell(self, stage: str, at: str = "") -> None:
        if stage in self._verdict.omit_stages:
            return
        notes = self.annotations
        if not self._verdict.request:
            # What a webhook has changed shows what is in the object.
            notes = {key: value for key, value in notes.items() if not key.startswith(_PATCHES)}
        now: Obj = {"stage": stage, "stageTimestamp": at or self._teller.now(), "annotations": notes}
        found = {**self._event, **now}
        told = {key: found[key] for key in _ORDER if key == "user" or found.get(key)}
        self._teller.tell(orjson.dumps(told))
