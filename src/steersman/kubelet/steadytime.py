"""Wall clock stamps on a time line that goes on evenly when somebody sets the machine's clock.

The API and the runtime tell when things happened by the wall clock. How long ago that was must not be taken from the wall clock
again: once it is set back by three hours, a container that ended a second ago would wait three hours for its restart, and one
that may start at once would have its probes wait as long. Set forward, pods would reach their deadlines at once. So a stamp is
believed when it is first seen, a moment after it was made, and ages with the monotonic clock from there.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from steersman.cri.messages import Container, ContainerState
from steersman.kubelet.view import PodView
from steersman.machinery.clock import Clock


class SteadyTime:
    """Times are aware datetimes, but of this line: only to be compared with each other, never to be shown."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._origin = clock.now() - timedelta(seconds=clock.monotonic())
        self._seen: dict[str, tuple[datetime, datetime]] = {}

    def now(self) -> datetime:
        return self._origin + timedelta(seconds=self._clock.monotonic())

    def of(self, key: str, stamp: datetime) -> datetime:
        """When that was; never in the future. `key`: whose stamp it is."""
        found = self._seen.get(key)
        if found is None or found[0] != stamp:
            age = max(self._clock.now() - stamp, timedelta())
            found = self._seen[key] = (stamp, self.now() - age)
        return found[1]

    def forget(self, key: str) -> None:
        self._seen.pop(key, None)

    def view(self, view: PodView) -> PodView:
        """The same with the ends of its dead containers on this line. Forgets everything but those."""
        dead = {item.id for item in view.containers if item.state is ContainerState.EXITED}
        for key in self._seen.keys() - dead:
            self.forget(key)
        if not dead:
            return view
        return replace(view, containers=tuple(self._ended(item) if item.id in dead else item for item in view.containers))

    def _ended(self, item: Container) -> Container:
        return replace(item, finished_at=self.of(item.id, item.finished_at or item.created_at))
