"""A line per request, off by default, and a line for every request that took long: upstream's httplog and its slow traces.

Source: upstream server/httplog/httplog.go (fields of the line), k8s.io/utils/trace (what is slow).
"""

from __future__ import annotations

import logging

from steersman.apiserver.contracts import RequestInfo
from steersman.apiserver.http import Request, Response
from steersman.machinery import verbosity

log = logging.getLogger(__name__)

SLOW_S = 0.5


def wanted() -> bool:
    """Whether requests get a line each."""
    return verbosity.level >= verbosity.REQUESTS


def line(request: Request, info: RequestInfo, response: Response, seconds: float) -> None:
    headers = request.headers
    log.info(
        'HTTP verb="%s" URI="%s" latency="%.3fms" userAgent="%s" audit-ID="%s" srcIP="%s" resp=%d',
        info.verb.upper(),
        _uri(request),
        seconds * 1000,
        _plain(headers.get("user-agent", "")),
        response.headers.get("Audit-Id", ""),
        request.remote,
        response.status,
    )


def slow(request: Request, info: RequestInfo, response: Response, seconds: float) -> None:
    log.info(
        'slow request: verb="%s" URI="%s" ms=%d queued_ms=%d audit-ID="%s" resp=%d',
        info.verb.upper(),
        _uri(request),
        seconds * 1000,
        request.queued_s * 1000,
        response.headers.get("Audit-Id", ""),
        response.status,
    )


def _uri(request: Request) -> str:
    return _plain(f"{request.path}?{request.raw_query}" if request.raw_query else request.path)


def _plain(text: str) -> str:
    """Nothing a client sends begins a line of its own or ends the quotes."""
    return text.encode("unicode_escape").decode().replace('"', '\\"')
