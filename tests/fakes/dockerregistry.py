"""Debian's docker-registry on loopback, a process of the test's own: it takes a port itself, and its log says which."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from steersman.machinery.clock import RealClock

_CONFIG = """\
version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}
http: {addr: "127.0.0.1:0"}
"""
_AUTH = "auth: {htpasswd: {realm: test, path: %s}}\n"
_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")


@contextmanager
def serving(root: Path, *, account: str = "") -> Iterator[str]:
    """host:port of an empty registry that keeps all in `root`. account: a line of htpasswd, of who alone may pull and push."""
    if not shutil.which("docker-registry") or not shutil.which("skopeo"):
        pytest.skip("needs docker-registry and skopeo")
    text = _CONFIG % (root / "data")
    if account:
        (root / "accounts").write_text(account + "\n")
        text += _AUTH % (root / "accounts")
    (root / "config.yml").write_text(text)
    log = root / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(["docker-registry", "serve", str(root / "config.yml")], stdout=out, stderr=out)
    try:
        yield f"127.0.0.1:{asyncio.run(_port(server, log))}"
    finally:
        server.terminate()
        server.wait()


async def _port(server: subprocess.Popen[bytes], log: Path) -> str:
    while (found := _LISTENING.search(log.read_text())) is None:
        assert server.poll() is None, log.read_text()
        await RealClock().sleep(0.02)
    return found[1]
