"""The contract of interface.Runtime: exec, attach, port forwarding, log rotation."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest
from tests.contract.cri.bench import Bench, shell

from steersman.cri.interface import Runtime, RuntimeFault, Terminal

pytestmark = pytest.mark.root
Run = Callable[[Callable[[Bench], Awaitable[None]]], None]


async def read_until(terminal: Terminal, end: bytes) -> bytes:
    data = b""
    while end not in data:
        piece = await terminal.read_stdout()
        assert piece is not None, data
        data += piece
    return data


async def running(runtime: Runtime, container: str, command: str) -> bool:
    """Whether a process with this command line runs in the container."""
    result = await runtime.exec_sync(container, ["ps", "-o", "args"], 60)
    assert result.exit_code == 0
    return command in result.stdout.decode().splitlines()


async def complaint(runtime: Runtime, container: str, command: list[str]) -> str:
    """Why a command could not be started: CRI's runtimes fail the call, ours the command."""
    try:
        result = await runtime.exec_sync(container, command, 60)
    except RuntimeFault as error:
        return str(error)
    assert result.exit_code != 0
    return result.stderr.decode()


async def read_all(read: Callable[[], Awaitable[bytes | None]]) -> bytes:
    data = b""
    while (piece := await read()) is not None:
        data += piece
    return data


def test_exec_sync_gives_output_and_exit_code(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, container = await bench.started(runtime, shell("sleep 100", envs=(("WHO", "me"),), working_dir="/tmp"))
            result = await runtime.exec_sync(container, ["sh", "-c", "echo $WHO $PWD; echo err >&2; exit 7"], 60)
            assert (result.stdout, result.stderr, result.exit_code) == (b"me /tmp\n", b"err\n", 7)
            assert "/no/such" in await complaint(runtime, container, ["/no/such"])
            big = await runtime.exec_sync(container, ["sh", "-c", "head -c 3000000 /dev/zero"], 60)
            assert len(big.stdout) == 3_000_000
            await runtime.stop_container(container, 0)
            with pytest.raises(RuntimeFault, match="EXITED"):
                await runtime.exec_sync(container, ["true"], 60)

    run(scenario)


def test_a_command_that_takes_too_long_is_killed(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, container = await bench.started(runtime, shell("sleep 100"))
            with pytest.raises(RuntimeFault) as caught:
                await runtime.exec_sync(container, ["sleep", "4711"], 0.3)
            assert caught.value.reason == "DeadlineExceeded"
            assert not await running(runtime, container, "sleep 4711")

    run(scenario)


def test_exec_with_pipes(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, container = await bench.started(runtime, shell("sleep 100"))
            terminal = await runtime.exec(container, ["sh", "-c", "cat; echo done >&2; exit 4"], tty=False, stdin=True)
            payload = os.urandom(300_000)

            async def feed() -> None:
                await terminal.write_stdin(payload)
                await terminal.close_stdin()

            _, out, err = await asyncio.gather(feed(), read_all(terminal.read_stdout), read_all(terminal.read_stderr))
            assert (out == payload, err, await terminal.wait()) == (True, b"done\n", 4)
            await terminal.close()

    run(scenario)


def test_a_terminal_shows_the_commands_output_and_nothing_else(run: Run) -> None:
    """crun now and then complained of nothing, in red, when a command was over at once."""

    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, container = await bench.started(runtime, shell("sleep 100"))
            for _ in range(20):
                terminal = await runtime.exec(container, ["echo", "out"], tty=True, stdin=False)
                # runc may not have told its terminal yet that it is not the one to make two characters of a line's end.
                assert (await read_all(terminal.read_stdout)).replace(b"\r\r", b"\r") == b"out\r\n"
                assert await terminal.wait() == 0
                await terminal.close()

    run(scenario)


def test_a_terminal_shows_why_a_command_could_not_be_started(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, container = await bench.started(runtime, shell("sleep 100"))
            terminal = await runtime.exec(container, ["/no/such"], tty=True, stdin=False)
            assert b"/no/such" in await read_all(terminal.read_stdout)
            assert await terminal.wait() != 0
            await terminal.close()

    run_native(scenario)


def test_exec_with_a_terminal(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, container = await bench.started(runtime, shell("sleep 100"))
            script = "while read x; do stty size; tty; done; exit 5"
            terminal = await runtime.exec(container, ["sh", "-c", script], tty=True, stdin=True)
            await terminal.resize(120, 40)
            output = b""
            while b"40 120" not in output:  # the size may arrive after the first line
                await terminal.write_stdin(b"x\n")
                output = await read_until(terminal, b"/dev/pts/")
            await terminal.close_stdin()
            assert await terminal.read_stderr() is None
            assert await terminal.wait() == 5
            await terminal.close()

    run(scenario)


def test_letting_go_of_an_exec_kills_the_command(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, container = await bench.started(runtime, shell("sleep 100"))
            for tty in (False, True):
                terminal = await runtime.exec(container, ["sh", "-c", "echo up; exec sleep 4711"], tty=tty, stdin=False)
                await read_until(terminal, b"up")
                await terminal.close()
                assert not await running(runtime, container, "sleep 4711")

    run_native(scenario)


def test_attach_to_a_containers_stdio(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            script = "while read line; do echo got $line; echo err $line >&2; done; exit 6"
            _, container = await bench.started(runtime, shell(script, stdin=True, stdin_once=True))
            terminal = await runtime.attach(container, tty=False, stdin=True)
            await terminal.write_stdin(b"one\n")
            assert await read_until(terminal, b"one\n") == b"got one\n"
            assert await terminal.read_stderr() == b"err one\n"
            await terminal.close_stdin()
            assert await read_all(terminal.read_stdout) == b""
            assert await terminal.wait() == 6
            await terminal.close()
            await bench.ended(runtime, container)
            assert ("stdout", "F", "got one") in bench.log()

    run(scenario)


def test_stdin_that_stays_open_lets_go_whoever_has_said_all(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, container = await bench.started(runtime, shell("while read line; do echo got $line; done; echo end", stdin=True))
            for word in ("one", "two"):
                terminal = await runtime.attach(container, tty=False, stdin=True)
                await terminal.write_stdin(f"{word}\n".encode())
                await read_until(terminal, b"\n")
                await terminal.close_stdin()
                assert await read_all(terminal.read_stdout) == b""
                assert await terminal.wait() == 0
                await terminal.close()
            assert [text for _, text in await bench.written(2)] == ["got one", "got two"]
            await runtime.stop_container(container, 0)

    run(scenario)


def test_who_is_let_go_has_seen_the_answer_to_what_was_said_last(run_native: Run) -> None:
    """`echo uptime | kubectl debug -i`: CRI's runtimes show nothing of it."""

    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, container = await bench.started(runtime, shell("while read line; do echo got $line; done", stdin=True))
            terminal = await runtime.attach(container, tty=False, stdin=True)
            await terminal.write_stdin(b"one\n")
            await terminal.close_stdin()
            assert await read_all(terminal.read_stdout) == b"got one\n"
            assert await terminal.wait() == 0
            await terminal.close()
            await runtime.stop_container(container, 0)

    run_native(scenario)


def test_attach_to_a_terminal_and_let_go(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            script = "while read line; do stty size; echo end; done"
            _, container = await bench.started(runtime, shell(script, stdin=True, tty=True))
            for columns in (100, 90):
                terminal = await runtime.attach(container, tty=True, stdin=True)
                await terminal.resize(columns, 33)
                seen = b""
                while f"33 {columns}".encode() not in seen:  # the size may arrive after the first line
                    await terminal.write_stdin(b"x\n")
                    seen = await read_until(terminal, b"end")
                await terminal.close()
            await runtime.stop_container(container, 0)

    run(scenario)


def test_port_forwarding_reaches_into_the_pod(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            server = "echo hello > /tmp/x; exec httpd -f -h /tmp -p 127.0.0.1:8080"
            sandbox, container = await bench.started(runtime, shell(server))
            await runtime.exec_sync(container, ["sh", "-c", "until wget -q -O /dev/null http://127.0.0.1:8080/x; do :; done"], 60)
            tunnel = await runtime.port_forward(sandbox, 8080)
            await tunnel.write(b"GET /x HTTP/1.0\r\n\r\n")
            await tunnel.close_write()
            answer = b""
            while data := await tunnel.read():
                answer += data
            await tunnel.close()
            assert b" 200 OK" in answer and answer.endswith(b"hello\n")
            with pytest.raises(RuntimeFault, match="8081"):
                # CRI's runtimes accept first and fail then.
                await (await runtime.port_forward(sandbox, 8081)).read()

    run(scenario)


def test_a_log_file_that_was_moved_away_is_opened_anew(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, container = await bench.started(runtime, shell("echo before; read go; echo after", stdin=True, stdin_once=True))
            path = (await runtime.container_status(container)).log_path
            while not os.stat(path).st_size:
                await runtime.exec_sync(container, ["true"], 60)
            os.rename(path, f"{path}.old")
            await runtime.reopen_container_log(container)
            while not os.path.exists(path):
                await runtime.exec_sync(container, ["true"], 60)
            terminal = await runtime.attach(container, tty=False, stdin=True)
            await terminal.write_stdin(b"go\n")
            await bench.ended(runtime, container)
            await terminal.close()
            assert [text for _, _, text in bench.log()] == ["after"]

    run(scenario)
