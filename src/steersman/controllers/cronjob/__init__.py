"""The cron job controller: a Job at each scheduled time. times.py says which time is due, sync.py acts.

Source: upstream pkg/controller/cronjob.
"""

from __future__ import annotations

from collections.abc import Iterable

from steersman.api.resources import CRON_JOBS, JOBS
from steersman.controllers.cronjob.sync import reconcile
from steersman.loop.spec import ControllerSpec, Watch
from steersman.machinery.meta import Key, Obj, controller_of, key_of, namespace_of


def _owner(job: Obj) -> Iterable[Key]:
    ref = controller_of(job)
    return ((namespace_of(job), ref["name"]),) if ref is not None and ref.get("kind") == CRON_JOBS.kind else ()


SPEC = ControllerSpec(
    name="cronjob-controller",
    watches=(Watch(CRON_JOBS, keys=lambda obj: (key_of(obj),)), Watch(JOBS, keys=_owner)),
    reconcile=reconcile,
)
