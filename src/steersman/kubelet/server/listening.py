"""aiohttp's server as the kubelet uses it: what is no HTTP is the client's matter, and no error in our log."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

log = logging.getLogger(__name__)

_HEAD_LIMIT = 1 << 20
"""As Go's servers. What exec is to run is part of the request's line."""


def server_of(answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], lingering_s: float = 10.0) -> web.Server:
    """Without a log of requests. lingering_s: how long what an answered client still sends is read."""
    told = log.getChild("http")
    told.addFilter(_is_ours)
    return web.Server(
        answer,
        access_log=None,
        lingering_time=lingering_s,
        logger=told,
        max_line_size=_HEAD_LIMIT,
        max_field_size=_HEAD_LIMIT,
    )


def _is_ours(record: logging.LogRecord) -> bool:
    """aiohttp reports with a traceback whatever goes wrong. Malformed requests are answered with 400 and that is all."""
    fault = record.exc_info[1] if record.exc_info else None
    if isinstance(fault, HttpProcessingError):
        log.debug("malformed request: error=%s", " ".join(str(fault).split())[:200])
        return False
    return True
