"""Writes pod statuses to the API: at once, one request per pod at a time, only what differs; then the final deletion.

status.py makes statuses, workers hand them over here and go on: nothing waits for the API server.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from steersman.api.resources import PODS
from steersman.client.interface import Client
from steersman.kubelet import pods
from steersman.kubelet.conditions import OWNED, RESIZE
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Conflict, NotFound, StatusError
from steersman.machinery.meta import Obj, is_deleting, name_of, namespace_of, resource_version_of, uid_of
from steersman.machinery.waiting import Backoff

log = logging.getLogger(__name__)

_MERGED_BY_IP = ("podIPs", "hostIPs")


def status_patch(base: Obj, wanted: Obj) -> Obj:
    """The strategic merge patch of `status` from base to wanted; empty if they agree.

    Others' conditions are left alone: `wanted` holds them as they were when it was made.
    """
    patch: Obj = {}
    for key, value in wanted.items():
        if key == "conditions":
            known = {item["type"]: item for item in base.get("conditions") or ()}
            ours = [item for item in value if _is_ours(item)]
            changed = [_cleared(known.get(item["type"]), item) for item in ours if not _same(known.get(item["type"]), item)]
            over = [kind for kind in RESIZE if kind in known and not any(item["type"] == kind for item in ours)]
            changed += [{"$patch": "delete", "type": kind} for kind in over]
            if changed:
                patch["conditions"] = changed
        elif not _same(base.get(key), value):
            patch[key] = (
                [{"$patch": "replace"}, *value] if key in _MERGED_BY_IP and base.get(key) else _in_place(base.get(key), value)
            )
    for key in ("reason", "message"):
        if key in base and key not in wanted:
            patch[key] = None
    return patch


def _is_ours(condition: Obj) -> bool:
    return condition["type"] in OWNED or condition.get("reason") == "TerminationByKubelet"


def _cleared(old: Obj | None, new: Obj) -> Obj:
    """A merged list item keeps what is not named: a reason that no longer holds must be taken out."""
    return {**{key: None for key in old or () if key not in new}, **new}


def _in_place(old: Any, new: Any) -> Any:
    """The same of a map (resources), whose patch is merged all the way down."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return _cleared(old, {key: _in_place(old.get(key), value) for key, value in new.items()})


def _same(old: Any, new: Any) -> bool:
    """Equality as the API sees it: null, empty and absent are one."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(_same(old.get(key), new.get(key)) for key in old.keys() | new.keys())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    return old == new or (not old and not new and not isinstance(old, bool | int) and not isinstance(new, bool | int))


@dataclass(slots=True)
class _Entry:
    """pod: as the API shows it; of a static pod that is its mirror, None while there is none."""

    pod: Obj | None
    static: bool = False
    wanted: Obj | None = None
    known: Obj | None = None
    known_version: int = 0
    finished: bool = False
    gone: bool = False
    dirty: bool = False
    busy: bool = False

    def patch(self) -> Obj:
        """What the API lacks. A phase that is final there isn't taken back: somebody else may have ended the pod just now."""
        wanted, known = self.wanted or {}, self.known or {}
        final = not self.static and pods.is_terminal_phase(known.get("phase") or "")
        if final and not pods.is_terminal_phase(wanted.get("phase") or ""):
            wanted = {**wanted, **{key: known.get(key) for key in ("phase", "reason", "message")}}
        return status_patch(known, wanted)

    def lose(self, pod: Obj) -> None:
        """The API has that pod no longer. A static pod gets another mirror."""
        if not self.static:
            self.gone = True
        elif self.pod is pod:
            self.pod = self.known = None


class StatusWriter:
    """`group`: where requests run; cancelled with the kubelet."""

    def __init__(self, client: Client, clock: Clock, group: asyncio.TaskGroup) -> None:
        self._client, self._clock, self._group = client, clock, group
        self._entries: dict[str, _Entry] = {}

    def observe(self, pod: Obj) -> None:
        """The API shows this pod now."""
        self._observe(self._entries.setdefault(uid_of(pod), _Entry(pod)), pod)

    def _observe(self, entry: _Entry, pod: Obj) -> None:
        entry.pod = pod
        version = resource_version_of(pod)
        if version >= entry.known_version:
            entry.known, entry.known_version = pod.get("status") or {}, version
            if entry.wanted is not None and entry.patch():
                # Somebody else wrote what is ours: pods are marked unready while their node is silent, for one. If a write of
                # ours is under way, its answer says whether there is anything left to do.
                self._kick(entry)
        if entry.finished and is_deleting(pod):
            self._kick(entry)

    def expect(self, uid: str) -> None:
        """A static pod begins: its status waits for its mirror."""
        self._entries.setdefault(uid, _Entry(None, static=True))

    def show(self, uid: str, mirror: Obj) -> None:
        """The API shows this mirror of the static pod `uid`."""
        entry = self._entries.get(uid)
        if entry is None or not entry.static:
            return
        if entry.pod is None or uid_of(entry.pod) != uid_of(mirror):
            entry.known, entry.known_version = None, 0
        self._observe(entry, mirror)

    def unshow(self, uid: str, mirror_uid: str) -> None:
        """That mirror is gone from the API; the pod it showed goes on."""
        entry = self._entries.get(uid)
        if entry is not None and entry.static and entry.pod is not None and uid_of(entry.pod) == mirror_uid:
            entry.pod = entry.known = None

    def set(self, uid: str, status: Obj, *, recheck: bool = False) -> None:
        """Show this status. recheck: compare with what the API shows even if it is the one sent last."""
        entry = self._entries.get(uid)
        if entry is None or entry.gone or (status == entry.wanted and not recheck):
            return
        entry.wanted = status
        self._kick(entry)

    def finish(self, uid: str) -> None:
        """Nothing of the pod runs any more: when its terminal status is in and it is marked for deletion, delete it."""
        entry = self._entries.get(uid)
        if entry is not None:
            entry.finished = True
            self._kick(entry)

    def forget(self, uid: str) -> None:
        entry = self._entries.pop(uid, None)
        if entry is not None:
            entry.gone = True

    def _kick(self, entry: _Entry) -> None:
        entry.dirty = True
        if not entry.busy and entry.pod is not None:
            entry.busy = True
            self._group.create_task(self._drain(entry))

    async def _drain(self, entry: _Entry) -> None:
        backoff = Backoff(0.2, 10.0)
        try:
            while entry.dirty and not entry.gone and (pod := entry.pod) is not None:
                entry.dirty = False
                try:
                    await self._write(entry, pod)
                except NotFound:
                    entry.lose(pod)
                except Conflict as error:
                    # Another pod of that name by now: the precondition on the UID failed.
                    log.info("status not written pod=%s/%s error=%s", *_key(pod), error)
                    entry.lose(pod)
                except (StatusError, ConnectionError) as error:
                    log.warning("status not written, will retry pod=%s/%s error=%s", *_key(pod), error)
                    entry.dirty = True
                    await self._clock.sleep(backoff.next())
        finally:
            entry.busy = False

    async def _write(self, entry: _Entry, pod: Obj) -> None:
        namespace, name = _key(pod)
        if entry.wanted is not None:
            patch = entry.patch()
            if patch:
                body = {"metadata": {"uid": uid_of(pod)}, "status": patch}
                answer = await self._client.patch(PODS, name, body, namespace, kind="strategic", subresource="status")
                if uid_of(answer) == uid_of(pod) and resource_version_of(answer) >= entry.known_version:
                    entry.known, entry.known_version = answer.get("status") or {}, resource_version_of(answer)
        if entry.dirty or entry.static or not entry.finished or not is_deleting(pod):
            return
        if pods.is_terminal_phase((entry.known or {}).get("phase") or ""):
            await self._client.delete(PODS, name, namespace, grace_period_s=0, uid=uid_of(pod))
            entry.gone = True


def _key(pod: Obj) -> tuple[str, str]:
    return namespace_of(pod), name_of(pod)
