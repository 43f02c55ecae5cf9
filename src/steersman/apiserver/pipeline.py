"""The way of every request: audit id, request info, deadline, authentication, its turn (flow control), authorisation, dispatch,
errors to Status."""

from __future__ import annotations

import asyncio
import logging
import uuid

from steersman.apiserver import httplog, respond
from steersman.apiserver.authn.impersonation import Impersonator
from steersman.apiserver.authz.messages import forbidden, questions
from steersman.apiserver.contracts import Auditing, Authenticator, Call, Dropped, FlowControl, RequestInfo, UserInfo, Verdict
from steersman.apiserver.dispatch import dispatch
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.http import Handler, Request, Response
from steersman.apiserver.longrunning import Ending
from steersman.apiserver.metrics import Metrics
from steersman.apiserver.requestinfo import parse
from steersman.apiserver.routes import Routes
from steersman.machinery import duration
from steersman.machinery.errors import BadRequest, InternalError, ServerTimeout, StatusError, Timeout, Unauthorized
from steersman.store.interface import NoSpace, Unavailable

log = logging.getLogger(__name__)

DEADLINE_S = 60.0
OUTAGE_TOLD_EVERY_S = 60.0
_LONG_RUNNING = frozenset(("proxy", "attach", "exec", "log", "portforward"))
_PANIC = b"This request caused apiserver to panic. Look in the logs for details."


class Pipeline:
    """`handle` serves requests from outside, `acting_as(user)` those of the server's own parts."""

    def __init__(
        self,
        api: Api,
        authenticator: Authenticator,
        routes: Routes,
        metrics: Metrics,
        limits: FlowControl,
        audit: Auditing | None = None,
        longest_s: float = DEADLINE_S,
    ) -> None:
        self._api = api
        self._audit = audit
        self._authenticator = authenticator
        self._impersonator = Impersonator(api.authorizer)
        self._routes = routes
        self._metrics = metrics
        self._limits = limits
        self._longest_s = longest_s
        first = str(uuid.uuid4())
        self._audit_lead, self._requests = first[:24], int(first[24:], 16)
        self._outage_told_s = float("-inf")
        self._unanswered = 0

    async def handle(self, request: Request) -> Response:
        return await self._handle(request, None)

    def acting_as(self, user: UserInfo) -> Handler:
        """A Handler that takes every request as that user's."""

        async def handle(request: Request) -> Response:
            return await self._handle(request, user)

        return handle

    async def _handle(self, request: Request, user: UserInfo | None) -> Response:
        clock = self._api.clock
        started = clock.monotonic()
        info = parse(request.method, request.path, request.query_pairs if request.raw_query else ())
        long_running = info.verb == "watch" or info.subresource in _LONG_RUNNING
        self._metrics.began(info)
        response: Response | None = None
        try:
            if long_running or info.verb == "get":
                # A get is answered from memory; only a store that has stopped could keep it, and then nothing else works.
                if request.raw_query and not long_running:
                    _deadline(request, self._longest_s)
                response = await self._serve(request, info, user)
            else:
                async with asyncio.timeout(_deadline(request, self._longest_s)):
                    response = await self._serve(request, info, user)
        except StatusError as error:
            response = respond.of_error(request, error)
        except Dropped as dropped:
            response = respond.of_dropped(dropped)
        except TimeoutError:
            response = respond.of_error(request, Timeout("Timeout: request did not complete within the allotted timeout"))
        except NoSpace as fault:
            # Without Retry-After: kubectl would keep it from whoever has to free the space. The store has logged it, once.
            response = respond.of_error(request, InternalError.of(str(fault)))
        except Unavailable as fault:
            self._tell_outage(fault)
            response = respond.of_error(request, _store_down(info, fault))
        except asyncio.CancelledError:
            if request.audit is not None:
                request.audit.completed()
            raise
        except Exception as fault:
            log.exception("request failed: verb=%s path=%s", info.verb, info.path)
            if request.audit is not None:
                request.audit.panicked(fault)
            response = respond.of_error(request, InternalError.of(_PANIC.decode()))
        finally:
            seconds = clock.monotonic() - started
            self._metrics.done(request, info, response, None if long_running else seconds)
        headers = response.headers
        trail = request.audit
        if trail is None:
            headers["Audit-Id"] = request.headers.get("audit-id") or self._audit_id()
        else:
            headers["Audit-Id"] = trail.id
            trail.answered(response, long_running)
            if response.chunks is not None:
                response.chunks = Ending(response.chunks, trail.completed)
        if "Cache-Control" not in headers:
            headers["Cache-Control"] = "no-cache, private"
        if long_running and response.chunks is not None:
            self._metrics.streaming(info, 1)
            response.chunks = Ending(response.chunks, lambda: self._metrics.streaming(info, -1))
        elif seconds >= httplog.SLOW_S and not long_running:
            httplog.slow(request, info, response, seconds)
        if httplog.wanted():
            httplog.line(request, info, response, seconds)
        return response

    async def _serve(self, request: Request, info: RequestInfo, user: UserInfo | None) -> Response:
        try:
            asks = await self._authenticator.authenticate(request) if user is None else user
        except Unauthorized:
            self._metrics.unauthenticated += 1
            raise
        self._metrics.authenticated += 1
        if self._audit is not None:
            request.audit = self._audit.begin(request, info, asks)
        if user is None:
            user = asks
            if "impersonate-" in " ".join(request.headers):
                user = await self._impersonator.acting(request, info, asks)
        watch = info.verb == "watch"
        if not watch and info.subresource in _LONG_RUNNING:
            return await self._answer(request, info, user)
        seat = self._limits.admit(request, info, user)
        if seat.waits:
            began_s = self._api.clock.monotonic()
            # What a watch says of a timeout, nobody reads; were it refused here, its place in the queue would stay taken.
            await seat.granted((self._longest_s if watch else _deadline(request, self._longest_s)) / 4)
            request.queued_s = self._api.clock.monotonic() - began_s
        begun = False
        try:
            if watch:
                request.initialised = seat.leave
            response = await self._answer(request, info, user)
            if watch and response.chunks is not None:
                # Its seat is free when what was there has been sent, or when it ends before that.
                response.chunks = Ending(response.chunks, seat.leave)
                begun = True
        except StatusError as error:
            response = respond.of_error(request, error)
        finally:
            if not begun:
                seat.leave()
        response.headers.update(seat.headers)
        return response

    async def _answer(self, request: Request, info: RequestInfo, user: UserInfo) -> Response:
        for question in questions(info):
            verdict, reason = await self._api.authorizer.authorize(user, question)
            if request.audit is not None:
                request.audit.decided(user, question, verdict is Verdict.ALLOW, reason)
            if verdict is not Verdict.ALLOW:
                self._metrics.denied += 1
                raise forbidden(user, question, reason)
        self._metrics.allowed += 1
        call = Call(request, info, user)
        return await (dispatch(self._api, call) if info.is_resource else self._routes.serve(call))

    def _audit_id(self) -> str:
        """A UUID, made once; the last part counts on, as it only has to be unique."""
        self._requests += 1
        return f"{self._audit_lead}{self._requests & 0xFFFFFFFFFFFF:012x}"

    def _tell_outage(self, fault: Unavailable) -> None:
        """Every request meets it: one line a minute is enough."""
        self._unanswered += 1
        now_s = self._api.clock.monotonic()
        if now_s - self._outage_told_s >= OUTAGE_TOLD_EVERY_S:
            log.warning("store unavailable: requests=%d error=%s", self._unanswered, fault)
            self._outage_told_s, self._unanswered = now_s, 0


def _deadline(request: Request, longest_s: float) -> float:
    asked = request.query("timeout") if request.raw_query else ""
    if not asked:
        return longest_s
    try:
        seconds = duration.parse_go(asked)
    except ValueError as fault:
        raise BadRequest(f"invalid timeout specified in the request URL - {fault}") from fault
    return min(seconds, longest_s) if seconds > 0 else longest_s


def _store_down(info: RequestInfo, fault: Unavailable) -> ServerTimeout:
    """Without Retry-After: the store has been waited for already, a write may be there, and who asks should hear of it now."""
    resource = f"{info.plural}.{info.group}" if info.group else info.plural
    text = f"The {info.verb} operation against {resource} could not be completed at this time, please try again: {fault}"
    return ServerTimeout(text, details={"group": info.group, "kind": info.plural})
