"""What became of the pods a controller created and deleted, told as events: the same words for every owner of pods."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.loop.failures import namespace_terminates
from steersman.loop.spec import Action, Create, Delete, Emit, Result
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, name_of


def error_of(result: Result) -> Exception | None:
    """A pod that is gone already is as good as deleted."""
    if isinstance(result.action, Delete) and isinstance(result.error, NotFound):
        return None
    return result.error


def pod_events(owner: Obj, results: Sequence[Result]) -> list[Action]:
    """Events about `owner` for results of creating and deleting pods."""
    events: list[Action] = []
    for result in results:
        if result.skipped:
            continue
        created, error = isinstance(result.action, Create), error_of(result)
        if error is None:
            name = name_of(result.obj or {}) if created else getattr(result.action, "name", "")
            reason, text = ("SuccessfulCreate", "Created pod") if created else ("SuccessfulDelete", "Deleted pod")
            events.append(Emit(owner, "Normal", reason, f"{text}: {name}"))
        elif not namespace_terminates(error):
            reason, text = ("FailedCreate", "Error creating") if created else ("FailedDelete", "Error deleting")
            events.append(Emit(owner, "Warning", reason, f"{text}: {error}"))
    return events
