"""`kubectl cp`: files to and from containers, by the tar that must be there. archives.py packs and unpacks."""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import IO, TextIO

from steersman.cli.kubectl.commands.cp.archives import pack, unpack
from steersman.cli.kubectl.commands.exec import stream_path
from steersman.cli.kubectl.commands.picking import PODS, default_container
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import ExitError, KubectlError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.streaming import remotecommand, terminal
from steersman.cli.kubectl.streaming.remotecommand import Sink, Streams
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj

SUMMARY = "Copy files and directories to and from containers."
USAGE = "cp <file-spec-src> <file-spec-dest> [options]"
EXAMPLES = """  # Copy /tmp/foo local file to /tmp/bar in a remote pod in namespace <some-namespace>
  kubectl cp /tmp/foo <some-namespace>/<some-pod>:/tmp/bar

  # Copy /tmp/foo from a remote pod to /tmp/bar locally
  kubectl cp <some-namespace>/<some-pod>:/tmp/foo /tmp/bar"""
FLAGS = (
    Flag("container", help="Container name. If omitted, use the default container of the pod.", short="c"),
    Flag("no-preserve", "bool", "The copied file/directory's ownership and permissions will not be preserved in the container"),
    Flag("retries", "int", "Set number of retries to complete a copy operation from a container."),
)
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class _Place:
    """A path here (no pod), or in a pod."""

    path: str
    pod: str = ""
    namespace: str = ""


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if len(args) != 2:
        raise KubectlError("source and destination are required")
    source, target = map(_place, args)
    if source.pod and target.pod:
        raise KubectlError("one of src or dest must be a local file specification")
    if not source.path or not target.path:
        raise KubectlError("filepath can not be empty")
    if source.pod:
        return await _from_pod(ctx, flags, source, target)
    if target.pod:
        return await _to_pod(ctx, flags, source, target)
    raise KubectlError("one of src or dest must be a remote file specification")


def _place(spec: str) -> _Place:
    """`path`, `pod:path`, `namespace/pod:path`."""
    lead, colon, path = spec.partition(":")
    if not colon or lead[:1] in ("/", "."):
        return _Place(spec)
    if not lead or lead.count("/") > 1:
        raise KubectlError("filespec must match the canonical format: [[namespace/]pod:]file/path")
    namespace, _, pod = lead.rpartition("/")
    return _Place(path, pod, namespace)


async def _to_pod(ctx: Context, flags: Flags, source: _Place, target: _Place) -> int:
    if not os.path.lexists(source.path):
        raise KubectlError(f"{source.path} doesn't exist in local filesystem")
    pod = await ctx.client.get(PODS, target.pod, target.namespace or ctx.namespace)
    path = posixpath.normpath(target.path)
    container = flags.text("container")
    if await _is_folder(ctx, pod, container, path):
        path = posixpath.join(path, os.path.basename(os.path.abspath(source.path)))
    command = (
        ["tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-"] if flags.on("no-preserve") else ["tar", "-xmf", "-"]
    )
    folder, name = posixpath.split(path)
    if folder:
        command += ["-C", folder]
    with tempfile.TemporaryFile() as archive:
        pack(os.path.normpath(source.path), name, archive)
        archive.seek(0)
        return await _exec(ctx, pod, container, command, terminal.Sink(ctx.out), stdin=_blocks(archive))


async def _from_pod(ctx: Context, flags: Flags, source: _Place, target: _Place) -> int:
    pod = await ctx.client.get(PODS, source.pod, source.namespace or ctx.namespace)
    with tempfile.TemporaryFile() as archive:
        try:
            command = ["tar", "cf", "-", source.path]
            await _exec(ctx, pod, flags.text("container"), command, lambda data: _append(archive, data), stderr=ctx.out)
        except ExitError:
            # tar has told of what it could not read. What it could is there.
            pass
        archive.seek(0)
        unpack(ctx, archive, source.path, target.path, source.namespace, source.pod)
    return 0


def _append(archive: IO[bytes], data: bytes) -> None:
    archive.write(data)


async def _is_folder(ctx: Context, pod: Obj, container: str, path: str) -> bool:
    try:
        code = await remotecommand.run(
            ctx,
            stream_path(
                pod,
                "exec",
                container or default_container(ctx, pod, quiet=True)["name"],
                ["test", "-d", path],
                stdin=False,
                tty=False,
            ),
            Streams(stdout=lambda data: None, stderr=lambda data: None),
        )
    except (StatusError, KubectlError):
        return False
    return code == 0


async def _exec(
    ctx: Context,
    pod: Obj,
    container: str,
    command: list[str],
    stdout: Sink,
    *,
    stderr: TextIO | None = None,
    stdin: AsyncIterator[bytes] | None = None,
) -> int:
    """`stderr`: where the command's own goes, kubectl's if nothing is said. Upstream tells of a copy's tar on stdout."""
    name = container or default_container(ctx, pod)["name"]
    target = stream_path(pod, "exec", name, command, stdin=stdin is not None, tty=False)
    code = await remotecommand.run(ctx, target, Streams(stdout, terminal.Sink(stderr or ctx.err), stdin))
    if code:
        if stdin is not None:
            ctx.complain(f"command terminated with exit code {code}")
        raise ExitError(code)
    return 0


async def _blocks(archive: IO[bytes]) -> AsyncIterator[bytes]:
    while data := archive.read(_CHUNK):
        yield data
