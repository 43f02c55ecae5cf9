"""NFS volumes: what mount(8) is asked for, and what a pod is told when this machine can't."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.fakes.client import FakeClient

from steersman.kubelet.objects import ObjectCache, TokenCache
from steersman.kubelet.volumes.base import Request, VolumeFault
from steersman.kubelet.volumes.nfs import NfsVolume
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj
from steersman.machinery.programs import Outcome


def request(root: Path, volume: Obj) -> Request:
    clock, api = VirtualClock(), FakeClient()
    directory = root / "kubernetes.io~any" / "d"
    tokens = TokenCache(api, clock, random.Random(1))
    pod: Obj = {"metadata": {"name": "p", "namespace": "default", "uid": "u"}, "spec": {}}
    return Request(pod, {"name": "d", **volume}, directory, ObjectCache(api, clock), tokens, clock.now())


class Machine:
    """Runs nothing, and remembers what it was asked."""

    def __init__(self, code: int = 0, output: bytes = b"") -> None:
        self.outcome, self.asked = Outcome(code, b"", output), list[Sequence[str]]()

    async def run(self, argv: Sequence[str]) -> Outcome:
        self.asked.append(argv)
        return self.outcome


@pytest.mark.parametrize(
    ("source", "spec", "claim", "arguments"),
    [
        ({"server": "s", "path": "/e"}, None, {}, ["s:/e"]),
        ({"server": "s", "path": "/e", "readOnly": True}, None, {}, ["-o", "ro", "s:/e"]),
        (
            {"server": "fd00::1", "path": "/e"},
            {"mountOptions": ["nfsvers=4.1", "hard"]},
            {},
            ["-o", "nfsvers=4.1,hard", "[fd00::1]:/e"],
        ),
        ({"server": "s", "path": "/e"}, {}, {"readOnly": True}, ["-o", "ro", "s:/e"]),
    ],
    ids=["in a pod", "read-only", "behind a claim", "a claim used read-only"],
)
def test_the_kernel_is_asked_to_mount_the_folder_of_the_server(
    tmp_path: Path, source: Obj, spec: Obj | None, claim: Obj, arguments: list[str]
) -> None:
    machine = Machine()
    plugin = NfsVolume(machine.run)
    if spec is None:
        asked = request(tmp_path, {"nfs": source})
        path = asyncio.run(plugin.set_up(asked))
        assert path == asked.directory
    else:
        volume = {"metadata": {"name": "pv"}, "spec": {"nfs": source, **spec}}
        path = asyncio.run(
            plugin.set_up_volume(request(tmp_path, {"persistentVolumeClaim": {"claimName": "c", **claim}}), volume)
        )
        assert path == tmp_path / "kubernetes.io~nfs" / "pv"
    assert machine.asked == [["mount", "-t", "nfs", *arguments, str(path)]]
    asyncio.run(plugin.tear_down(path))
    assert not path.exists()


def test_a_machine_that_cannot_says_so_in_the_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    machine = Machine(32, b"mount: /x: unknown filesystem type 'nfs'.\n")
    asked = request(tmp_path, {"nfs": {"server": "s", "path": "/e"}})
    with pytest.raises(VolumeFault) as fault:
        asyncio.run(NfsVolume(machine.run).set_up(asked))
    assert str(fault.value).splitlines() == [
        "mount failed: exit status 32",
        "Mounting command: mount",
        f"Mounting arguments: -t nfs s:/e {asked.directory}",
        "Output: mount: /x: unknown filesystem type 'nfs'.",
        "for several filesystems (e.g. nfs, cifs) you might need a /sbin/mount.<type> helper program.",
    ]
    assert not asked.directory.exists()
