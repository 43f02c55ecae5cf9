"""/debug/pprof/ and /debug/flags/v: what this process is doing, as far as a Python server can say, and how much it logs.

The paths are those of upstream's profiling; the pages are text for people, not for `go tool pprof`, and the index says so. Who
may see them is decided like for any path (RBAC's nonResourceURLs). --profiling=false leaves them out.
"""

from __future__ import annotations

import asyncio
import gc
import io
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable

from steersman.apiserver.contracts import Call
from steersman.apiserver.http import Response
from steersman.apiserver.routes import Routes
from steersman.machinery import verbosity
from steersman.machinery.clock import Clock
from steersman.machinery.errors import BadRequest, MethodNotAllowed

_TEXT = "text/plain; charset=utf-8"
_EVERY_S, _USUAL_S, _LONGEST_S = 0.01, 30.0, 300.0
_PAGES = {
    "cmdline": "the command line of the process, words separated by NUL",
    "goroutine": "the asyncio tasks and the threads, with their stacks (there are no goroutines)",
    "heap": "how many objects of which type the garbage collector follows",
    "profile": "where the main thread was, every 10 ms for ?seconds=30: folded stacks, as flame graphs want them",
}


class Debugging:
    """The pages of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def install(self, routes: Routes) -> None:
        pages: dict[str, Callable[[Call], Awaitable[str]]] = {
            "": self.index, "cmdline": self.cmdline, "goroutine": self.tasks, "heap": self.heap, "profile": self.profile,
        }  # fmt: skip
        for name, page in pages.items():
            routes.add(f"/debug/pprof/{name}" if name else "/debug/pprof", _text(page), listed=False)
        routes.add("/debug/flags", _text(self.flags), listed=False)
        routes.add("/debug/flags/v", self.set_verbosity, listed=False)

    async def index(self, call: Call) -> str:
        lines = [f"{name:10}{text}" for name, text in _PAGES.items()]
        return "\n".join(["/debug/pprof/", "", "A Python process. What it can tell, below this path:", "", *lines, ""])

    async def cmdline(self, call: Call) -> str:
        return "\0".join(sys.orig_argv)

    async def tasks(self, call: Call) -> str:
        out = io.StringIO()
        for task in sorted(asyncio.all_tasks(), key=lambda task: task.get_name()):
            print(f"task {task.get_name()} {getattr(task.get_coro(), '__qualname__', '')}", file=out)
            for frame in task.get_stack():
                traceback.print_stack(frame, limit=1, file=out)
            print(file=out)
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            print(f"thread {names.get(ident, ident)}", file=out)
            traceback.print_stack(frame, file=out)
            print(file=out)
        return out.getvalue()

    async def heap(self, call: Call) -> str:
        kinds = Counter(type(item).__qualname__ for item in gc.get_objects())
        lines = [f"{count:10d} {name}" for name, count in kinds.most_common(100)]
        frozen = f"{gc.get_freeze_count():10d} more, made before the server was ready, are not looked at"
        return "\n".join([*lines, frozen, ""])

    async def profile(self, call: Call) -> str:
        """Taken by a thread, so that a loop that is stuck shows where."""
        seconds = _seconds(call.request.query("seconds"))
        taking = _Sampler(threading.get_ident())
        taking.start()
        try:
            await self._clock.sleep(seconds)
        finally:
            taking.over.set()
        return "".join(f"{stack} {count}\n" for stack, count in taking.found.most_common())

    async def flags(self, call: Call) -> str:
        return "/debug/flags/\n\nv   PUT a number: how much is logged; 3 and more: every request, 4 and more: details\n"

    async def set_verbosity(self, call: Call) -> Response:
        if call.request.method != "PUT":
            raise MethodNotAllowed
        body = await call.request.read_body() if call.request.read_body is not None else b""
        text = body.decode("utf-8", "replace").strip()
        if not text.isdecimal() or len(text) > 4:
            raise BadRequest(f"failed to set verbosity: {text[:40]!r} is no number")
        verbosity.apply(int(text))
        return Response(body=f"successfully set klog.logging.verbosity to {int(text)}\n".encode(), content_type=_TEXT)


class _Sampler(threading.Thread):
    """Looks at another thread until told that it is over."""

    def __init__(self, ident: int) -> None:
        super().__init__(name="profile", daemon=True)
        self._ident = ident
        self.over = threading.Event()
        self.found: Counter[str] = Counter()

    def run(self) -> None:
        while not self.over.wait(_EVERY_S):
            frame = sys._current_frames().get(self._ident)
            stack: list[str] = []
            while frame is not None:
                stack.append(f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_name}")
                frame = frame.f_back
            self.found[";".join(reversed(stack))] += 1


def _text(page: Callable[[Call], Awaitable[str]]) -> Callable[[Call], Awaitable[Response]]:
    async def serve(call: Call) -> Response:
        if call.request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed
        return Response(body=(await page(call)).encode(), content_type=_TEXT)

    return serve


def _seconds(text: str) -> float:
    if not text:
        return _USUAL_S
    if not text.isdecimal() or not 0 < int(text) <= _LONGEST_S:
        raise BadRequest(f"seconds: {text[:40]!r} is no number from 1 to {_LONGEST_S:g}")
    return float(text)
