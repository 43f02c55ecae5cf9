"""What is wrong with a command line is said in one line, and nothing is done."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from steersman.__main__ import main
from steersman.cluster.settings import Paths, SettingsError
from steersman.cluster.up import Choices, decide_settings
from steersman.cluster.waiting import UpError, until
from steersman.machinery.clock import VirtualClock


@pytest.mark.parametrize(
    ("chosen", "host", "told"),
    [
        ("Foo_Bar", "host", "--node-name Foo_Bar: "),
        ("", "my_laptop", "the host name my_laptop can be no node's, --node-name gives another: "),
    ],
)
@pytest.mark.parametrize("simulated", [0, 3])
def test_a_name_that_no_node_can_have_is_told_before_anything_is_begun(
    chosen: str, host: str, told: str, simulated: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    choices = Choices(node_name=chosen, advertise_address="192.0.2.1", simulated_nodes=simulated)
    with pytest.raises(SettingsError) as refused:
        decide_settings(Paths(tmp_path), choices)
    assert str(refused.value).startswith(f"{told}a lowercase RFC 1123 subdomain must consist of")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("down --delet", "steersman down: unrecognized arguments: --delet"),
        ("down --d", "steersman down: unrecognized arguments: --d"),
        ("join a:1 --tok x", "steersman join: unrecognized arguments: --tok x"),
        ("token create --tt 1h", "steersman token: unrecognized arguments: --tt"),
        ("remove node a --forc", "steersman remove: unrecognized arguments: --forc"),
        ("crictl rm -a --forc", "steersman crictl: unrecognized arguments: --forc"),
    ],
)
def test_an_option_cut_short_is_none(
    line: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEERSMAN_STATE_DIR", str(tmp_path / "none"))
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    said = capsys.readouterr()
    assert (ended.value.code, said.out, len(said.err.splitlines())) == (2, "", 1)
    assert said.err.startswith(told)


@pytest.mark.parametrize("command", ["status", "kubeconfig", "image ls", "token list", "crictl ps", "remove node a", "up"])
def test_a_cluster_of_roots_is_told_as_such(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setenv("STEERSMAN_STATE_DIR", str(tmp_path))
    assert main(command.split()) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"steersman {command.split()[0]}: {tmp_path} belongs to root: run it again with sudo")


def test_an_empty_state_directory_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["up", "--state-dir", ""])
    assert capsys.readouterr().err == "steersman up: argument --state-dir: is empty (see steersman up --help)\n"


def test_what_is_waited_for_in_vain_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    log = tmp_path / "apiserver.log"
    for written, end in ((None, ""), ("", ""), ("one\ntwo\n\n", ", which ends with: two")):
        if written is not None:
            log.write_text(written)
        with pytest.raises(UpError) as fault:
            asyncio.run(until(never, -1, VirtualClock(), "the API server", log))
        assert str(fault.value) == f"waited -1 s in vain for the API server: see {log}{end}"
