"""What a failed action means, where controllers must tell failures apart."""

from __future__ import annotations

from steersman.machinery.errors import StatusError


def namespace_terminates(error: Exception | None) -> bool:
    """Nothing can be created in a namespace that is being deleted: no fault worth an event, and it soon ends by itself."""
    return isinstance(error, StatusError) and any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes)
