"""Watchers that cost the machine nothing: TLS connections that watch, whose sockets alone are looked at while time is taken.

A Python client that decrypts and parses a thousand events takes longer than the server that sends them, so arrival is what the
system's readiness says; what has arrived is decrypted afterwards, to see that it was the event.
"""

from __future__ import annotations

import resource
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

_PATIENCE_S = 30.0
_ENOUGH = 1 << 16
_MORE_FILES = 256


class Watcher:
    """One watch. `socket` is non-blocking; TLS works on memory beside it."""

    def __init__(self, port: int, context: ssl.SSLContext, head: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._goes, server_hostname="127.0.0.1")
        self._blocking(self._tls.do_handshake)
        self._tls.write(head)
        self.socket.sendall(self._goes.read())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._blocking(lambda: self._tls.read(_ENOUGH)) or b""
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"no watch: {answer[:200]!r}")
        self.socket.setblocking(False)

    def _blocking(self, step: Callable[[], bytes | None]) -> bytes | None:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self.socket.sendall(self._goes.read())
                got = self.socket.recv(_ENOUGH)
                if not got:
                    raise ConnectionError("the server has closed a watch") from None
                self._came.write(got)
            else:
                self.socket.sendall(self._goes.read())
                return done

    def arrived(self) -> bytes:
        """What has arrived since the last call, as it was sent."""
        try:
            while got := self.socket.recv(_ENOUGH):
                self._came.write(got)
        except BlockingIOError:
            pass
        text = b""
        try:
            while piece := self._tls.read(_ENOUGH):
                text += piece
        except ssl.SSLWantReadError:
            pass
        return text


@contextmanager
def watchers(count: int, port: int, ca: Path, target: str, token: str) -> Iterator[Sequence[Watcher]]:
    """That many watches of a path, all of which have been answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count + _MORE_FILES)), hard))
    context = ssl.create_default_context(cafile=str(ca))
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    with ExitStack() as stack:
        made = [Watcher(port, context, head) for _ in range(count)]
        for watcher in made:
            stack.callback(watcher.socket.close)
        yield made


def all_reached_s(made: Sequence[Watcher], write: Callable[[], None], sign: bytes) -> float:
    """Seconds from the start of `write` until all have something. Raises RuntimeError if it was not `sign`."""
    with select.epoll() as poll:
        for watcher in made:
            watcher.arrived()
            # One shot: each is counted once, and nothing is read while time is taken.
            poll.register(watcher.socket.fileno(), select.EPOLLIN | select.EPOLLONESHOT)
        missing, begin = len(made), time.perf_counter()
        write()
        while missing:
            found = len(poll.poll(_PATIENCE_S, len(made)))
            if not found:
                raise RuntimeError(f"{missing} watchers were told nothing")
            missing -= found
        took = time.perf_counter() - begin
    if not all(sign in watcher.arrived() for watcher in made):
        raise RuntimeError("watchers were told something else")
    return took
