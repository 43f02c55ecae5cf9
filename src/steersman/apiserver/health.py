"""/livez, /readyz, /healthz: named checks, their verbose form and exclusions; /metrics/slis, how the checks went.

Source: upstream server/healthz/healthz.go, component-base/metrics/prometheus/slis (KEP-3466).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from steersman.apiserver.contracts import Call
from steersman.apiserver.http import Response

log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[str]]
"""Empty if all is well, else what is wrong."""

_TEXT = "text/plain; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_SLIS = (
    ("kubernetes_healthcheck", "gauge", "This metric records the result of a single healthcheck."),
    ("kubernetes_healthchecks_total", "counter", "This metric records the results of all healthcheck."),
)


class Health:
    """Checks in order. `only` says at which endpoints a check counts."""

    def __init__(self) -> None:
        self._checks: dict[str, tuple[Check, frozenset[str]]] = {}
        self._last: dict[tuple[str, str], bool] = {}
        self._counts: dict[tuple[str, str, str], int] = {}

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
        wrong = await self._run(endpoint, name, check)
        if wrong:
            return _response(500, f"internal server error: {wrong}\n")
        return _response(200, "ok")

    async def _all(self, endpoint: str, call: Call) -> Response:
        pairs = call.request.query_pairs
        excluded = {value for key, value in pairs if key == "exclude"}
        lines: list[str] = []
        failed: list[str] = []
        for name, (check, where) in self._checks.items():
            if endpoint not in where:
                continue
            if name in excluded:
                excluded.discard(name)
                lines.append(f"[+]{name} excluded: ok")
                continue
            wrong = await self._run(endpoint, name, check)
            if wrong:
                failed.append(f"[-]{name} failed: {wrong}")
            lines.append(f"[-]{name} failed: reason withheld" if wrong else f"[+]{name} ok")
        if excluded:
            quoted = ", ".join(f'"{name}"' for name in sorted(excluded))
            lines.append(f"warn: some health checks cannot be excluded: no matches for {quoted}")
        if failed:
            log.info("health check failed: endpoint=%s %s", endpoint, "; ".join(failed))
            return _response(500, "\n".join([*lines, f"{endpoint} check failed", ""]))
        if any(key == "verbose" for key, _ in pairs):
            return _response(200, "\n".join([*lines, f"{endpoint} check passed", ""]))
        return _response(200, "ok")

    async def _run(self, endpoint: str, name: str, check: Check) -> str:
        wrong = await check()
        self._last[name, endpoint] = not wrong
        counted = (name, "error" if wrong else "success", endpoint)
        self._counts[counted] = self._counts.get(counted, 0) + 1
        return wrong

    async def slis(self, call: Call) -> Response:
        """How the checks went, the last time and ever."""
        last = [f'{{name="{name}",type="{where}"}} {int(good)}' for (name, where), good in self._last.items()]
        counts = [
            f'{{name="{name}",status="{status}",type="{where}"}} {count}' for (name, status, where), count in self._counts.items()
        ]
        lines: list[str] = []
        for (metric, kind, text), samples in zip(_SLIS, (last, counts), strict=True):
            lines += [f"# HELP {metric} [STABLE] {text}", f"# TYPE {metric} {kind}", *(metric + sample for sample in samples)]
        return Response(body="\n".join([*lines, ""]).encode(), content_type=_METRICS)


def _response(status: int, text: str) -> Response:
    return Response(status, text.encode(), _TEXT, {"X-Content-Type-Options": "nosniff"})
