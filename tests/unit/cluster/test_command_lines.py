"""What is wrong with a command line is said in one line, and nothing is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from steersman.__main__ import main


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("down --delet", "steersman down: unrecognized arguments: --delet"),
        ("down --d", "steersman down: unrecognized arguments: --d"),
        ("up --simulated 3", "steersman up: unrecognized arguments: --simulated 3"),
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
