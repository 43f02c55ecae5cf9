"""The node's own rules: what becomes of an nft that does not do as it should. What the rules do is tested in namespaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from steersman.network import firewall


@pytest.mark.parametrize(
    ("program", "fault"),
    [
        ("exec sleep 600", "nft did not end within 0.1 s"),
        ("exit 3", "nft refused the rules: exit code 3"),
        ("echo no such table >&2; echo more >&2; exit 1", "nft refused the rules: no such table$"),
    ],
)
def test_every_failure_of_nft_is_an_os_error_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, fault: str
) -> None:
    """One that was held up for half a minute raised what nobody expected, and with it the kubelet ended."""
    nft = tmp_path / "nft"
    nft.write_text(f"#!/bin/sh\n{program}\n")
    nft.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(firewall, "_LIMIT_S", 0.1 if "sleep" in program else 30)
    with pytest.raises(OSError, match=fault):
        firewall.remove()
