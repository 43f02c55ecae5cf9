"""/livez, /readyz, /healthz: named checks, their verbose form and exclusions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from steersman.apiserver.contracts import Call
from steersman.apiserver.http import Response

Check = Callable[[], Awaitable[str]]
"""Empty if all is well, else what is wrong."""

_TEXT = "text/plain; charset=utf-8"


class Health:
    """Checks in order. `only` says at which endpoints a check counts."""

    def __init__(self) -> None:
        self._checks: dict[str, tuple[Check, frozenset[str]]] = {}

    def add(self, name: str, check: Check, only: tuple[str, ...] = ("livez", "readyz", "healthz")) -> None:
        self._checks[name] = (check, frozenset(only))

    async def serve(self, call: Call) -> Response:
        endpoint, _, one = call.request.path.strip("/").partition("/")
        if one:
            return await self._single(endpoint, one)
        return await self._all(endpoint, call)

    async def _single(self, endpoint: str, name: str) -> Response:
        check, where = self._checks.get(name, (None, frozenset()))
        if check is None or endpoint not in where:
            return Response(404, b"404 page not found\n", _TEXT)
        wrong = await check()
        if wrong:
            return Response(500, f"internal server error: {wrong}\n".encode(), _TEXT)
        return Response(body=b"ok", content_type=_TEXT)

    async def _all(self, endpoint: str, call: Call) -> Response:
        pairs = call.request.query_pairs
        excluded = {value for key, value in pairs if key == "exclude"}
        lines: list[str] = []
        failed = False
        for name, (check, where) in self._checks.items():
            if endpoint not in where:
                continue
            if name in excluded:
                excluded.discard(name)
                lines.append(f"[+]{name} excluded: ok")
                continue
            wrong = await check()
            failed = failed or bool(wrong)
            lines.append(f"[-]{name} failed: reason withheld" if wrong else f"[+]{name} ok")
        if excluded:
            quoted = ", ".join(f'"{name}"' for name in sorted(excluded))
            lines.append(f"warn: some health checks cannot be excluded: no matches for {quoted}")
        if failed:
            return Response(500, "\n".join([*lines, f"{endpoint} check failed", ""]).encode(), _TEXT)
        if any(key == "verbose" for key, _ in pairs):
            return Response(body="\n".join([*lines, f"{endpoint} check passed", ""]).encode(), content_type=_TEXT)
        return Response(body=b"ok", content_type=_TEXT)
