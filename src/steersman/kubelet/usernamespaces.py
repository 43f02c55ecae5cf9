"""Which of the node's user and group ids a pod with a user namespace of its own (`hostUsers: false`, KEP-127) gets.

Every pod gets a range of its own, written down in the pod's folder, so that a kubelet that starts anew neither changes it nor
gives it away. What the runtime makes of it is the runtime's. Source: upstream pkg/kubelet/userns.
"""

from __future__ import annotations

import logging
import pwd
from pathlib import Path
from typing import Any

import msgspec
import orjson

from steersman.cri.messages import IdMapping
from steersman.kubelet.config import KubeletConfig
from steersman.machinery.meta import Obj, dig, uid_of

log = logging.getLogger(__name__)

FILE = "userns"
"""In the pod's folder; upstream's name, and upstream's JSON."""
UNSUPPORTED = "can't set `spec.hostUsers: false`, runtime does not support user namespaces"
_USER = "kubelet"
_UNIT = 65536


class UserNamespaces:
    """The ranges of one node's pods. `accounts`: the folder of subuid and subgid."""

    def __init__(self, config: KubeletConfig, accounts: Path = Path("/etc")) -> None:
        self._config, self._accounts = config, accounts
        self._each = int(dig(config.configuration, "userNamespaces", "idsPerPod", default=_UNIT))
        self._used: dict[str, int] = {}
        """pod -> its first id"""
        self._read = False

    def of(self, pod: Obj, *, supported: bool) -> tuple[IdMapping, ...]:
        """The pod's range, none if it uses the node's users; taken and written down when it is asked for first.

        `supported`: whether the runtime can. Raises ValueError, OSError."""
        if dig(pod, "spec", "hostUsers", default=True) is not False:
            return ()
        if not supported:
            raise ValueError(UNSUPPORTED)
        first, last = self._range()
        self._recall(first, last)
        uid = uid_of(pod)
        path = self._config.pod_dir(uid) / FILE
        if uid not in self._used and path.exists():
            self._record(uid, path, first, last)
        if uid not in self._used:
            taken = set(self._used.values())
            free = next((each for each in range(first, last, self._each) if each not in taken), None)
            if free is None:
                raise ValueError("create user namespace: could not find an empty slot to allocate a user namespace")
            self._write(path, free)
            self._used[uid] = free
        return (IdMapping(0, self._used[uid], self._each),)

    def release(self, pod_uid: str) -> None:
        """The pod has ended: somebody else may have its range. Raises OSError."""
        self._used.pop(pod_uid, None)
        (self._config.pod_dir(pod_uid) / FILE).unlink(missing_ok=True)

    def _recall(self, first: int, last: int) -> None:
        """What pods of an earlier life of this kubelet have."""
        if self._read:
            return
        folder = self._config.root_dir / "pods"
        for path in sorted(folder.glob(f"*/{FILE}")):
            try:
                self._record(path.parent.name, path, first, last)
            except ValueError as error:
                # Its pod is told when it needs it.
                log.warning("user namespace of a pod not known path=%s error=%s", path, error)
        self._read = True

    def _record(self, uid: str, path: Path, first: int, last: int) -> None:
        start, length = parse(path.read_bytes())
        problem = ""
        if length != self._each:
            problem = f"wrong user namespace length {length}"
        elif start % self._each:
            problem = f"wrong user namespace offset specified {start}"
        elif not first <= start < last:
            problem = f"id {start} is out of range"
        elif start in (used for other, used in self._used.items() if other != uid):
            problem = f'range picked for pod "{uid}" already taken'
        if problem:
            raise ValueError(f"user namespace: {problem}")
        self._used[uid] = start

    def _write(self, path: Path, start: int) -> None:
        mapping = [{"hostId": start, "containerId": 0, "length": self._each}]
        path.parent.mkdir(0o750, parents=True, exist_ok=True)
        unfinished = path.with_name(f".{FILE}.new")
        unfinished.write_bytes(orjson.dumps({"uidMappings": mapping, "gidMappings": mapping}))
        unfinished.replace(path)

    def _range(self) -> tuple[int, int]:
        """(first id, first id beyond) of what pods may have. Raises ValueError when it can't be used."""
        each, most = self._each, self._config.max_pods
        found = self._subordinate()
        if found is None:
            return each, each * (most + 1)
        first, length = found
        if first % each:
            raise ValueError(f"kubelet mappings: kubelet user assigned ID {first} is not a multiple of {each}")
        if first < each:
            raise ValueError(f"kubelet mappings: kubelet user assigned ID {first} must be greater or equal to {each}")
        if length % each:
            raise ValueError(f"kubelet mappings: kubelet user assigned IDs length {length} is not a multiple of {each}")
        if length // each < most:
            raise ValueError(f"kubelet mappings: kubelet user assigned IDs are not enough to support {most} pods")
        return first, first + length

    def _subordinate(self) -> tuple[int, int] | None:
        """What /etc/subuid and /etc/subgid give the user kubelet; None: there is none."""
        users, groups = (_given(self._accounts / name) for name in ("subuid", "subgid"))
        if not users and not groups:
            return None
        if users != groups or len(users) != 1:
            raise ValueError(f"kubelet mappings: {_USER} needs one range, the same in subuid and subgid: {users} and {groups}")
        return users[0]


def _given(path: Path) -> list[tuple[int, int]]:
    """The ranges of the user kubelet, who may stand there by number."""
    names = {_USER}
    try:
        names.add(str(pwd.getpwnam(_USER).pw_uid))
    except KeyError:
        pass
    try:
        lines = [line.split(":") for line in path.read_text().splitlines()]
        return [(int(line[1]), int(line[2])) for line in lines if len(line) == 3 and line[0] in names]
    except FileNotFoundError:
        return []


def parse(content: bytes) -> tuple[int, int]:
    """(first id, length) of a pod's file. Raises ValueError."""
    try:
        found: dict[str, Any] = msgspec.json.decode(content, type=dict[str, list[dict[str, int]]])
        users, groups = found["uidMappings"], found["gidMappings"]
        if len(users) != 1 or users != groups:
            raise ValueError("user namespace: users and groups need the same, single mapping")
        if users[0]["containerId"] != 0:
            raise ValueError("user namespace: UID 0 must be mapped")
        return users[0]["hostId"], users[0]["length"]
    except (msgspec.DecodeError, KeyError) as error:
        raise ValueError(f"user namespace: invalid user namespace mappings file: {error}") from error
