"""exec, attach, cp, logs and port-forward, against a server on loopback that stands for the container."""

from __future__ import annotations

import asyncio
import io
import socket
import tarfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from tests.unit.cli.kubectl.commands.container import Container, Peer, container, pod
from tests.unit.cli.kubectl.commands.line import Ran, ran

from steersman.cli.kubectl.commands.picking import active_first, telling_first
from steersman.cli.kubectl.context import GLOBAL_FLAGS, Context
from steersman.cli.kubectl.flags import FlagSet
from steersman.cli.kubectl.streaming.portforward import open_tunnel
from steersman.machinery.meta import Obj

SEVERAL = 'Defaulted container "c" out of: c, d, i (init)\n'


def several() -> Obj:
    return pod("web", "c", "d", initContainers=[{"name": "i", "image": "x"}])


@pytest.fixture(autouse=True)
def _no_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)


def run(folder: Path, line: str, prepare: Callable[[Container], None], *, stdin: str = "") -> tuple[Ran, list[str]]:
    """What is told, and what was asked of the server."""

    async def scenario() -> tuple[Ran, list[str]]:
        async with container(folder) as (made, kubeconfig):
            made.pods = {"web": pod(), "many": several() | {"metadata": {"name": "many", "namespace": "default"}}}
            made.pods["done"] = {**pod("done"), "status": {"phase": "Succeeded"}}
            prepare(made)
            return await ran(line, kubeconfig=kubeconfig, stdin=stdin), made.asked

    return asyncio.run(scenario())


def command(does: Callable[[Peer], Awaitable[None]]) -> Callable[[Container], None]:
    return lambda made: setattr(made, "exec", does)


async def _speaks(peer: Peer) -> None:
    await peer.send(1, b"out\n")
    await peer.send(2, b"err\n")
    await peer.end(7)


async def _copies(peer: Peer) -> None:
    await peer.send(1, await peer.read_stdin())
    await peer.end()


async def _is_quiet(peer: Peer) -> None:
    peer.frame(0x89, b"still there?")
    await peer.end()


def test_the_streams_and_the_exit_code_of_a_command_are_passed_on(tmp_path: Path) -> None:
    told, asked = run(tmp_path, "exec web -- sh -c 'exit 7'", command(_speaks))
    assert told == (7, "out\n", "err\ncommand terminated with exit code 7\n")
    assert asked[-1] == (
        "GET /api/v1/namespaces/default/pods/web/exec?command=sh&command=-c&command=exit%207&container=c&stdout=true&stderr=true"
    )


def test_stdin_goes_to_the_command_until_it_ends(tmp_path: Path) -> None:
    text = "line\n" * 20000
    assert run(tmp_path, "exec -i web -- cat", command(_copies), stdin=text)[0] == (0, text, "")


def test_a_ping_is_answered_and_no_message(tmp_path: Path) -> None:
    assert run(tmp_path, "exec web -- true", command(_is_quiet))[0] == (0, "", "")


TOLD = {
    "exec": "error: pod, type/name or --filename must be specified\n",
    "exec web": "error: you must specify at least one command for the container\n",
    "exec web ls": "error: exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\n"
    "See 'kubectl exec -h' for help and examples\n",
    "exec done -- ls": "error: cannot exec into a container in a completed pod; current phase is Succeeded\n",
    "exec nope -- ls": 'Error from server (NotFound): pods "nope" not found\n',
    "attach": "error: at least 1 argument is required for attach\n",
    "attach done": "error: cannot attach a container in a completed pod; current phase is Succeeded\n",
    "attach web -c nope": "error: cannot attach to the container: container nope not found in pod web\n",
    "cp a": "error: source and destination are required\n",
    "cp a b": "error: one of src or dest must be a remote file specification\n",
    "cp web:/a web:/b": "error: one of src or dest must be a local file specification\n",
    "cp /no-such-file web:/b": "error: /no-such-file doesn't exist in local filesystem\n",
    "cp a web:": "error: filepath can not be empty\n",
    "cp a/b/c:x y": "error: filespec must match the canonical format: [[namespace/]pod:]file/path\n",
    "port-forward web": "error: TYPE/NAME and list of ports are required for port-forward\n"
    "See 'kubectl port-forward -h' for help and examples\n",
    "port-forward web x:80": "error: error parsing local port 'x': strconv.ParseUint: parsing \"x\": invalid syntax\n",
    "port-forward web http": "error: Pod 'web' does not have a named port 'http'\n",
    "port-forward done 80": "error: unable to forward port because pod is not running. Current status=Succeeded\n",
    "port-forward web 80 --address=1.2.3": "error: 1.2.3 is not a valid IP\n",
    "logs": "error: expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\n"
    "POD or TYPE/NAME is a required argument for the logs command\nSee 'kubectl logs -h' for help and examples\n",
    "logs nope": 'error: error from server (NotFound): pods "nope" not found in namespace "default"\n',
    "logs web -c nope": "error: container nope is not valid for pod web\n",
    "logs web c -c d": "error: only one of -c or an inline [CONTAINER] arg is allowed\n",
    "logs web --since=1s --since-time=2030-01-01T00:00:00Z": (
        "error: at most one of `sinceTime` or `sinceSeconds` may be specified\n"
    ),
    "logs web --since-time=foo": 'error: parsing time "foo" as "2006-01-02T15:04:05Z07:00": cannot parse "foo" as "2006"\n',
    "logs web --tail=-2": "error: --tail must be greater than or equal to -1\n",
    "logs -f -l a=b --all-containers --max-log-requests=2": (
        "error: you are attempting to follow 5 log streams, but maximum allowed concurrency is 2, "
        "use --max-log-requests to increase the limit\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("line", TOLD)
def test_a_mistake_is_told_as_upstream_tells_it(tmp_path: Path, line: str) -> None:
    assert run(tmp_path, line, lambda made: None)[0] == (1, "", TOLD[line])


def test_what_refuses_an_upgrade_is_quoted(tmp_path: Path) -> None:
    told, _ = run(tmp_path, "exec web -- ls", lambda made: setattr(made, "refusal", (500, b"container is not running\n")))
    assert told.err == "error: unable to upgrade connection: container is not running\n"
    status = b'{"kind": "Status", "reason": "BadRequest", "message": "no", "code": 400}'
    told, _ = run(tmp_path, "exec web -- ls", lambda made: setattr(made, "refusal", (400, status)))
    assert told.err == "Error from server (BadRequest): no\n"


def _logs(made: Container) -> None:
    made.logs = {"c": b"one\n\ntwo", "d": b"dee\n", "i": b"init\n"}


LOGS = {
    "web": ("one\n\ntwo", "", "container=c"),
    "web --prefix": ("[pod/web/c] one\n[pod/web/c] \n[pod/web/c] two", "", "container=c"),
    "many": ("one\n\ntwo", SEVERAL, "container=c"),
    "many d": ("dee\n", "", "container=d"),
    "many --all-containers": ("init\none\n\ntwodee\n", "", "container=d"),
    "web --tail=3 --timestamps -p --since=1500ms": (
        "one\n\ntwo", "", "container=c&previous=true&timestamps=true&sinceSeconds=2&tailLines=3",
    ),
    "web --since-time=2030-01-01T00:00:00Z --limit-bytes=5": (
        "one\n\ntwo", "", "container=c&sinceTime=2030-01-01T00%3A00%3A00Z&limitBytes=5",
    ),
}  # fmt: skip


@pytest.mark.parametrize("line", LOGS)
def test_logs_are_what_the_container_wrote(tmp_path: Path, line: str) -> None:
    out, err, query = LOGS[line]
    told, asked = run(tmp_path, f"logs {line}", _logs)
    assert told == (0, out, err)
    assert asked[-1].partition("?")[2] == query


def test_files_come_out_of_a_container_but_never_beside_the_destination(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in (("data/a", b"A"), ("data/sub/b", b"B"), ("data/../../evil", b"E")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("data/link")
        link.type, link.linkname = tarfile.SYMTYPE, "a"
        tar.addfile(link)

    async def tars(peer: Peer) -> None:
        assert peer.query["command"] == ["tar", "cf", "-", "/data"]
        await peer.send(1, archive.getvalue())
        await peer.end(1)

    target = tmp_path / "here" / "copy"
    told, _ = run(tmp_path, f"cp web:/data {target}", command(tars))
    assert told.code == 0
    assert (target / "a").read_text() == "A"
    assert (target / "sub" / "b").read_text() == "B"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a", "b", "config"]
    assert "is outside target destination, skipping" in told.err
    assert f'warning: skipping symlink: "{target}/link" -> "a" (consider using "kubectl exec' in told.err


def test_a_folder_goes_into_a_container_as_a_tar(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "empty").mkdir(parents=True)
    (source / "file").write_text("content")
    found: list[tuple[list[str], list[str]]] = []

    async def untars(peer: Peer) -> None:
        if peer.query["command"][0] == "test":
            await peer.end(0 if peer.query["command"][-1] == "/folder" else 1)
            return
        with tarfile.open(fileobj=io.BytesIO(await peer.read_stdin())) as tar:
            found.append((peer.query["command"], tar.getnames()))
        await peer.end()

    for destination in ("/folder", "/data/new"):
        assert run(tmp_path, f"cp {source} web:{destination}", command(untars))[0] == (0, "", "")
    assert found == [
        (["tar", "-xmf", "-", "-C", "/folder"], ["source/empty", "source/file"]),
        (["tar", "-xmf", "-", "-C", "/data"], ["new/empty", "new/file"]),
    ]


def test_connections_are_forwarded_each_to_its_port(tmp_path: Path) -> None:
    async def scenario() -> list[bytes]:
        async with container(tmp_path) as (_, kubeconfig):
            flags, _ = FlagSet("kubectl port-forward", GLOBAL_FLAGS).parse([])
            ctx = Context("port-forward", flags, default_kubeconfig=kubeconfig)
            tunnel = await open_tunnel(ctx, "/api/v1/namespaces/default/pods/web/portforward")
            wrong: list[str] = []
            got: list[bytes] = []

            async def handle(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                wrong.append(await tunnel.forward(port, reader, writer))
                writer.close()

            async with asyncio.TaskGroup() as group:
                running = group.create_task(tunnel.run())
                for port in (80, 8080, 1):
                    server = await asyncio.start_server(partial(handle, port), "127.0.0.1", 0)
                    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                    writer.write(b"hello")
                    writer.write_eof()
                    got.append(await reader.read())
                    writer.close()
                    server.close()
                tunnel.close()
                await running
            assert wrong == ["", "", "nobody listens"]
            return got

    assert asyncio.run(scenario())[:2] == [b"80:hello", b"8080:hello"]


def _ranked(phase: str, ready: str = "", restarts: int = 0, created: str = "2026-01-01T00:00:00Z") -> Obj:
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": ready}] if ready else []
    status = {"phase": phase, "conditions": conditions, "containerStatuses": [{"restartCount": restarts}]}
    return {"metadata": {"creationTimestamp": created}, "spec": {"nodeName": "n"}, "status": status}


def test_the_best_pod_to_talk_to_is_running_ready_and_old() -> None:
    early, late = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    order = [
        _ranked("Running", early),
        _ranked("Running", late, created=early),
        _ranked("Running", late, created=late),
        _ranked("Running", late, 3),
        _ranked("Running"),
        _ranked("Pending"),
        {**_ranked("Pending"), "spec": {}},
    ]
    shuffled = order[3:] + order[:3]
    assert sorted(shuffled, key=active_first) == order
    assert sorted([_ranked("Running", late), _ranked("Running", late, 3)], key=telling_first)[0] == _ranked("Running", late, 3)


def test_a_pod_that_ends_before_it_is_attached_to_shows_its_log(tmp_path: Path) -> None:
    def prepare(made: Container) -> None:
        made.logs["c"] = b"done already\n"
        made.refusal = (400, b'{"kind": "Status", "code": 400, "message": "container c in pod web is not running"}')

    told, asked = run(tmp_path, "run web --image=x --attach", prepare)
    assert (told.out, told.code) == ("done already\n", 0)
    assert (
        told.err == "warning: couldn't attach to pod/web, falling back to streaming logs: container c in pod web is not running\n"
    )
    assert [line for line in asked if "/attach?" in line or "/log?" in line][-1].endswith("/pods/web/log?container=c")


def test_a_port_that_is_taken_is_told_and_ends_the_command(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told, _ = run(tmp_path, f"port-forward web {port}:80 --address=127.0.0.1", lambda made: None)
    why = f"unable to create listener: Error listen tcp4 127.0.0.1:{port}: bind: address already in use"
    assert told.code == 1
    assert told.err == (
        f"Unable to listen on port {port}: Listeners failed to create with the following errors: [{why}]\n"
        f"error: unable to listen on any of the requested ports: [{{{port} 80}}]\n"
    )
