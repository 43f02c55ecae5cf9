"""A CSI driver for one node, over a real gRPC server (grpcio): a volume is a folder below `data`. In a test, or as a process.

`calls` says what was asked, in order. With `bind` volumes are bind mounts, as a real driver's are; without, folders with a file
`volume` that names the handle: no root needed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from steersman.kubelet.volumes.csi.messages import NODE, REGISTRATION, fields, message

NAME = "folders.csi.steersman.dev"
_CAPABILITIES = (1, 5)


@dataclass
class Call:
    """`values`: numbers and texts by field; `maps`: maps by field."""

    method: str
    request: bytes

    def text(self, number: int) -> str:
        found = fields(self.request)[1].get(number)
        return found[0].decode() if found else ""

    def number(self, number: int) -> int:
        return fields(self.request)[0].get(number, 0)

    def map(self, number: int) -> dict[str, str]:
        pairs = [fields(each)[1] for each in fields(self.request)[1].get(number, ())]
        return {pair[1][0].decode(): pair.get(2, [b""])[0].decode() for pair in pairs}


@dataclass
class FolderDriver:
    """`fail`: (code, text) with which calls of a method are refused until it is taken away again. `device`: what is published of
    block volumes."""

    root: Path
    registry: Path
    name: str = NAME
    type: str = "CSIPlugin"
    node_id: str = "node-id-1"
    bind: bool = False
    capabilities: tuple[int, ...] = _CAPABILITIES
    topology: dict[str, str] = field(default_factory=dict)
    max_volumes: int = 0
    versions: tuple[str, ...] = ("1.0.0",)
    calls: list[Call] = field(default_factory=list)
    fail: dict[str, tuple[grpc.StatusCode, str]] = field(default_factory=dict)
    told: list[tuple[bool, str]] = field(default_factory=list)
    log: Path | None = None
    device: Path = Path("/dev/null")

    @property
    def socket(self) -> Path:
        return self.root / "csi.sock"

    @property
    def methods(self) -> list[str]:
        """What was asked of volumes, in order."""
        return [each.method for each in self.calls if "Volume" in each.method]

    def last(self, method: str) -> Call:
        return next(each for each in reversed(self.calls) if each.method == method)

    # --- the server --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Serve and show up in the registry, under a name of its own."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.registry.mkdir(parents=True, exist_ok=True)
        server = grpc.server(ThreadPoolExecutor(4))
        server.add_generic_rpc_handlers((_Handler(self._served),))
        # Bound under a short name and moved: folders of tests are too deep for an address.
        with tempfile.TemporaryDirectory() as short:
            made = [(Path(short, path.name), path) for path in (self.socket, self.registration)]
            for bound, _ in made:
                server.add_insecure_port(f"unix:{bound}")
            server.start()
            for bound, path in made:
                os.replace(bound, path)
        self._server = server

    @property
    def registration(self) -> Path:
        return self.registry / f"{self.name}-reg.sock"

    def stop(self) -> None:
        self._server.stop(None).wait()
        for path in (self.socket, self.registration):
            path.unlink(missing_ok=True)

    def _served(self, path: str) -> Callable[[bytes, grpc.ServicerContext], bytes] | None:
        service, _, method = path.rpartition("/")
        if f"{service}/" not in (NODE, REGISTRATION) or not hasattr(self, f"on_{method}"):
            return None

        def serve(request: bytes, context: grpc.ServicerContext) -> bytes:
            call = Call(method, request)
            self.calls.append(call)
            if self.log is not None:
                with self.log.open("a") as log:
                    log.write(method + "\n")
            if method in self.fail:
                context.abort(*self.fail[method])
            answer: bytes = getattr(self, f"on_{method}")(call)
            return answer

        return serve

    # --- registration ------------------------------------------------------------------------------------------------

    def on_GetInfo(self, call: Call) -> bytes:
        return message((1, self.type), (2, self.name), (3, str(self.socket)), *((4, each) for each in self.versions))

    def on_NotifyRegistrationStatus(self, call: Call) -> bytes:
        self.told.append((bool(call.number(1)), call.text(2)))
        return b""

    # --- the node service ----------------------------------------------------------------------------------------------

    def on_NodeGetInfo(self, call: Call) -> bytes:
        segments = [(1, message((1, key), (2, value))) for key, value in self.topology.items()]
        return message((1, self.node_id), (2, self.max_volumes), (3, message(*segments)))

    def on_NodeGetCapabilities(self, call: Call) -> bytes:
        return message(*((1, message((1, message((1, each))))) for each in self.capabilities))

    def on_NodeStageVolume(self, call: Call) -> bytes:
        self._show(call.text(1), Path(call.text(3)))
        return b""

    def on_NodeUnstageVolume(self, call: Call) -> bytes:
        self._hide(Path(call.text(2)))
        return b""

    def on_NodePublishVolume(self, call: Call) -> bytes:
        target = Path(call.text(4))
        if 1 in fields(fields(call.request)[1][5][0])[1]:
            # As a block device: a link in place of a mount.
            target.symlink_to(self.device)
            return b""
        target.mkdir(exist_ok=True)
        self._show(call.text(1), target)
        return b""

    def on_NodeUnpublishVolume(self, call: Call) -> bytes:
        target = Path(call.text(2))
        if target.is_symlink():
            target.unlink()
        elif target.exists():
            self._hide(target)
            target.rmdir()
        return b""

    def on_NodeGetVolumeStats(self, call: Call) -> bytes:
        """100 of 1000 bytes and 7 of 50 inodes are used."""
        numbers = {1: (900, 1000, 100), 2: (43, 50, 7)}
        return message(*((1, message(*enumerate(three, start=1), (4, unit))) for unit, three in numbers.items()))

    def on_NodeExpandVolume(self, call: Call) -> bytes:
        return b""

    def _show(self, handle: str, target: Path) -> None:
        folder = self.root / "data" / handle
        folder.mkdir(parents=True, exist_ok=True)
        if not self.bind:
            (target / "volume").write_text(handle)
        elif not _is_mount(target):
            subprocess.run(["mount", "--bind", str(folder), str(target)], check=True)

    def _hide(self, target: Path) -> None:
        if not self.bind:
            (target / "volume").unlink(missing_ok=True)
        elif _is_mount(target):
            subprocess.run(["umount", str(target)], check=True)


def _is_mount(path: Path) -> bool:
    return any(line.split()[4] == str(path) for line in Path("/proc/self/mountinfo").read_text().splitlines())


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, find: Callable[[str], Callable[[bytes, grpc.ServicerContext], bytes] | None]) -> None:
        self._find = find

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        found = self._find(handler_call_details.method)
        return grpc.unary_unary_rpc_method_handler(found) if found is not None else None


def main(root: str, registry: str) -> None:
    """Until told to end."""
    driver = FolderDriver(Path(root), Path(registry), bind=True, topology={"topology.folders.csi/node": "here"}, max_volumes=7)
    driver.log, driver.capabilities = Path(root, "calls"), (*_CAPABILITIES, 3)
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    driver.start()
    over.wait()
    driver.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
