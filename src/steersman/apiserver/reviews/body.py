"""Reading the body of a review and answering with it: these kinds are never stored, so the generic path doesn't serve them."""

from __future__ import annotations

from typing import Literal, cast

from steersman.api.decode import decode
from steersman.api.kinds import KindSpec
from steersman.apiserver import respond
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers.options import write_options
from steersman.apiserver.http import Response
from steersman.apiserver.negotiate import accepted, body_media_type
from steersman.machinery.meta import Obj


async def read(call: Call, spec: KindSpec) -> tuple[Obj, list[str]]:
    """The object sent, and texts for Warning headers. BadRequest, NotAcceptable, UnsupportedMediaType, Invalid (options)."""
    accepted(call.request, transforms=False)
    options = write_options(call.request, "CreateOptions")
    body = await call.request.read_body() if call.request.read_body is not None else b""
    validation = cast(Literal["Ignore", "Warn", "Strict"], options.field_validation)
    return decode(body, body_media_type(call.request), spec, validation)


def answer(call: Call, obj: Obj, warnings: list[str]) -> Response:
    return respond.of_obj(call.request, obj, 201, warnings)
