"""The health port: /healthz for who watches over the kubelet on its own machine, without TLS and for everybody.

Source: upstream cmd/kubelet/app/server.go.
"""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.server import pages
from steersman.kubelet.server.listening import server_of
from steersman.kubelet.server.refusal import NOT_FOUND, Refused
from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

_RETRY_S = 5.0


async def serve(config: KubeletConfig, checks: pages.Checks, clock: Clock) -> None:
    """Until cancelled. A port that somebody else has is tried again: it is no reason not to run pods."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        first, *rest = [part for part in request.path.split("/") if part] or [""]
        try:
            if first != "healthz":
                raise Refused(404, NOT_FOUND)
            return pages.healthz(checks, rest, verbose="verbose" in request.query)
        except Refused as refused:
            return web.Response(status=refused.status, text=f"{refused}\n")

    server = server_of(answer)
    listener: asyncio.Server | None = None
    told = False
    try:
        while listener is None:
            try:
                place = config.healthz_bind_address, config.healthz_port
                listener = await asyncio.get_running_loop().create_server(server, *place)
            except OSError as error:
                log.log(logging.DEBUG if told else logging.WARNING, "health port not opened error=%s", error)
                told = True
                await clock.sleep(_RETRY_S)
        await asyncio.Event().wait()
    finally:
        if listener is not None:
            listener.close()
        await server.shutdown(1.0)
