"""What those are told who ask a server that is about to end. In-flight requests are served to their end (server.py)."""

from __future__ import annotations

import orjson

from steersman.apiserver.http import Handler, Request, Response
from steersman.machinery.errors import ServiceUnavailable


def refusal(*, come_back: bool) -> Handler:
    """come_back: --shutdown-send-retry-after. Source: upstream server/filters/{waitgroup,with_retry_after}.go."""

    async def refuse(request: Request) -> Response:
        if come_back:
            text = b"The apiserver is shutting down, please try again later.\n"
            response = Response(429, text, "text/plain; charset=utf-8", {"Retry-After": "5"})
        else:
            body = orjson.dumps(ServiceUnavailable("apiserver is shutting down").status())
            response = Response(503, body, headers={"Retry-After": "1"})
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return refuse
