"""The commands that run one component: what is wrong is said in one line; an API server that is not there yet is waited for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from steersman.__main__ import main
from steersman.client import kubeconfig

CLIENTS = ("scheduler", "controller-manager", "cloud-controller-manager", "kubelet", "proxy", "dns")
ELECTED = CLIENTS[:3]


def line(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line that was said."""
    said = capsys.readouterr()
    lines = (said.out + said.err).splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("command", CLIENTS)
def test_a_flag_that_is_none_is_told(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--kubeconfig", "x", "--no-such-flag"])
    assert ended.value.code == 2
    assert line(capsys) == f"steersman {command}: unrecognized arguments: --no-such-flag (see steersman {command} --help)"


@pytest.mark.parametrize("command", CLIENTS)
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no kubeconfig at "),
        ("a: [", "is no valid kubeconfig: yaml: line 1"),
        ("current-context: x", "the kubeconfig has no context 'x'"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_told(
    command: str, content: str | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "kubeconfig"
    if content is not None:
        config.write_text(content)
    assert main([command, "--kubeconfig", str(config)]) == 1
    said = line(capsys)
    assert said.startswith(f"steersman {command}: ") and told in said


@pytest.mark.parametrize("command", ELECTED)
@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--leader-elect=perhaps", "argument --leader-elect: 'perhaps' is neither true nor false"),
        ("--leader-elect-lease-duration=1s", "--leader-elect-lease-duration must be greater than"),
    ],
)
def test_an_election_that_cannot_be_is_told(command: str, flag: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = main([command, "--kubeconfig", "/nonexistent", flag])
    except SystemExit as ended:
        code = ended.code
    assert code in (1, 2)
    assert told in line(capsys)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "one of the arguments --store --etcd-servers is required"),
        (["--store=x", "--service-node-port-range=1"], "--service-node-port-range: '1' is no range of ports"),
        (["--store={folder}/s.db"], "No such file or directory: 'none'"),
    ],
)
def test_an_api_server_that_cannot_start_says_why(
    flags: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = ["--tls-cert-file", "--tls-private-key-file", "--client-ca-file", "--service-account-signing-key-file"]
    words = [flag.format(folder=tmp_path) for flag in flags] + [word for flag in needed for word in (flag, "none")]
    try:
        code: object = main(["apiserver", "--advertise-address=127.0.0.1", *words])
    except SystemExit as ended:
        code = ended.code
    assert code in (1, 2)
    assert told in line(capsys)


@pytest.mark.parametrize("command", CLIENTS)
def test_an_api_server_that_does_not_answer_is_waited_for_and_told_once(command: str, tmp_path: Path) -> None:
    config, log = tmp_path / "kubeconfig", tmp_path / "log"
    words = [sys.executable, "-m", "steersman", command, "--kubeconfig", str(config)]
    with socket.create_server(("127.0.0.1", 0)) as server, log.open("wb") as out:
        server.settimeout(120)
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        kubeconfig.write(config, kubeconfig.make("c", address, ca=b""))
        process = subprocess.Popen(words, stdout=out, stderr=out, env={**os.environ, "STEERSMAN_STATE_DIR": str(tmp_path)})
        try:
            for _ in range(4):
                server.accept()[0].close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
    said = log.read_text().splitlines()
    assert len(said) == 1 and f"waiting for the API server error=the API server at {address} can't be reached: " in said[0], said
