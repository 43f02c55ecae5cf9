"""The log backend: who may read it, when it is put aside, what is kept, and disks that are full."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.server import config_map, world
from tests.unit.apiserver.audit.test_events import MAPS, settings

from steersman.apiserver.audit.logfile import LogFile, LogSink
from steersman.apiserver.audit.settings import AuditSettings
from steersman.apiserver.config import ConfigError
from steersman.machinery.clock import VirtualClock

BODY = b'{"level":"Metadata"}'


def lost_into(lost: dict[str, int]) -> Any:
    def failed(plugin: str, events: int) -> None:
        lost[plugin] = lost.get(plugin, 0) + events

    return failed


def test_only_its_owner_may_read_the_file_and_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "made" / "audit.log"
    LogFile(path, 0, 0, 0, VirtualClock()).close()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_full_file_is_put_aside_under_its_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        file = LogFile(tmp_path / "audit.log", 20, 0, 0, clock)
        for line in (b"a" * 15 + b"\n", b"b" * 15 + b"\n", b"c" * 30 + b"\n", b"d\n"):
            file.write(line)
        await clock.advance(1.5)
        file.write(b"e" * 19 + b"\n")
        file.close()

    asyncio.run(scenario())
    found = {path.name: path.read_text()[0] for path in tmp_path.iterdir()}
    # A line is never cut, however long it is; and two of the same millisecond do not overwrite each other.
    assert found == {
        "audit-2026-01-01T00-00-00.000.log": "a",
        "audit-2026-01-01T00-00-00.001.log": "b",
        "audit-2026-01-01T00-00-00.002.log": "c",
        "audit-2026-01-01T00-00-01.500.log": "d",
        "audit.log": "e",
    }
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir())


def test_without_a_limit_the_file_grows(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "audit.log", 0, 1, 1, VirtualClock())
    for _ in range(100):
        file.write(b"x" * 99 + b"\n")
    file.close()
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [10_000]


@pytest.mark.parametrize(
    ("keep", "days", "left"),
    [(0, 0, {"2025-12-01", "2025-12-30", "2025-12-31"}), (1, 0, {"2025-12-31"}), (0, 7, {"2025-12-30", "2025-12-31"})],
)
def test_old_files_go_by_number_and_by_age_and_nobody_elses_do(tmp_path: Path, keep: int, days: int, left: set[str]) -> None:
    for day in ("2025-12-01", "2025-12-30", "2025-12-31"):
        (tmp_path / f"audit-{day}T00-00-00.000.log").touch()
    strangers = {
        "audit-old.log",
        "audit-2020-01-01.log",
        "other-2020-01-01T00-00-00.000.log",
        "audit-2020-01-01T00-00-00.000.txt",
    }
    for name in strangers:
        (tmp_path / name).touch()
    LogFile(tmp_path / "audit.log", 1, keep, days, VirtualClock()).close()
    expected = {f"audit-{day}T00-00-00.000.log" for day in left}
    assert {path.name for path in tmp_path.iterdir()} == expected | strangers | {"audit.log"}


def test_what_is_there_already_counts(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"x" * 15 + b"\n")
    file = LogFile(path, 20, 0, 0, VirtualClock())
    file.write(b"y" * 15 + b"\n")
    file.close()
    assert path.read_text() == "y" * 15 + "\n"


def test_a_line_that_fits_only_in_part_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.log"
    file = LogFile(path, 0, 0, 0, VirtualClock())
    file.write(b"first\n")
    real, room = os.write, [3]

    def write(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written, room[0] = real(fd, data[: room[0]]), 0
        return written

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space left"):
        file.write(b"second\n")
    monkeypatch.undo()
    file.write(b"third\n")
    file.close()
    assert path.read_text() == "first\nthird\n"


@pytest.mark.parametrize("mode", ["blocking", "batch"])
def test_a_full_disk_is_told_once_and_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str) -> None:
    async def scenario() -> None:
        audit = settings(tmp_path, log_mode=mode)
        full = AuditSettings(policy_file=audit.policy_file, log_path="/dev/full", log_mode=mode)
        async with world(audit=full) as w:
            for name in ("a", "b", "c"):
                assert (await w.raw("POST", MAPS, config_map(name))).status == 201
            metrics = (await w.raw("GET", "/metrics")).body.decode()
            if mode == "blocking":
                assert 'apiserver_audit_error_total{plugin="log"} 7.0' in metrics

    asyncio.run(scenario())
    assert caplog.text.count("audit events are lost") == 1


def test_when_there_is_room_again_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: dict[str, int] = {}
    sink = LogSink(settings(tmp_path), VirtualClock(), lost_into(lost))

    def write(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    sink.take(BODY)
    sink.take(BODY)
    monkeypatch.undo()
    sink.take(BODY)
    sink.take(BODY)
    sink.close()
    assert lost == {"log": 2}
    assert caplog.text.count("are lost") == 1 and caplog.text.count("written again") == 1
    assert len((tmp_path / "audit.log").read_text().splitlines()) == 2


def test_in_batch_mode_all_is_written_at_the_end_at_the_latest(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(audit=settings(tmp_path, log_mode="batch")) as w:
            for name in ("a", "b", "c"):
                await w.raw("POST", MAPS, config_map(name))

    asyncio.run(scenario())
    lines = (tmp_path / "audit.log").read_bytes().splitlines()
    assert [orjson.loads(line)["stage"] for line in lines] == ["RequestReceived", "ResponseComplete"] * 3


def test_what_does_not_fit_into_the_buffer_is_counted(tmp_path: Path) -> None:
    lost: dict[str, int] = {}
    sink = LogSink(settings(tmp_path, log_mode="batch", batch_buffer_size=3), VirtualClock(), lost_into(lost))
    for _ in range(5):
        sink.take(BODY)
    sink.close()
    assert lost == {"log": 2}
    assert len((tmp_path / "audit.log").read_text().splitlines()) == 3


def test_a_dash_is_standard_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sink = LogSink(AuditSettings(policy_file=tmp_path, log_path="-"), VirtualClock(), lost_into({}))
    sink.take(BODY)
    sink.close()
    assert capfd.readouterr().out == '{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata"}\n'


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--audit-log-path: .*: Is a directory"):
        LogSink(AuditSettings(policy_file=tmp_path, log_path=str(tmp_path)), VirtualClock(), lost_into({}))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"log_mode": "sometimes"}, 'invalid audit log mode sometimes, allowed modes are "batch,blocking"'),
        ({"log_format": "legacy"}, 'invalid audit log format legacy, allowed formats are "json"'),
        ({"log_maxage": -1}, "--audit-log-maxage -1 can't be a negative number"),
        ({"log_maxbackup": -2}, "--audit-log-maxbackup -2 can't be a negative number"),
        ({"log_maxsize": -3}, "--audit-log-maxsize -3 can't be a negative number"),
        ({"batch_buffer_size": 0}, "invalid audit batch buffer size 0, must be a positive number"),
    ],
)
def test_settings_that_cannot_be_are_told_in_upstreams_words(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    assert settings(tmp_path, **wrong).problems() == [said]
    assert settings(tmp_path).problems() == []
