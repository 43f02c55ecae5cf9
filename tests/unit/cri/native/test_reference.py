"""Image references: Docker's defaults and what is refused."""

from __future__ import annotations

import pytest

from steersman.cri.interface import RuntimeFault
from steersman.cri.native.reference import parse

_DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("grafana/grafana", "docker.io/grafana/grafana:latest"),
        ("index.docker.io/x", "docker.io/library/x:latest"),
        ("localhost/x", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b:v1"),
        ("[::1]:5000/a:v1", "[::1]:5000/a:v1"),
        ("ghcr.io/org/app_x/y-z:V1.0_a", "ghcr.io/org/app_x/y-z:V1.0_a"),
        (f"busybox@{_DIGEST}", f"docker.io/library/busybox@{_DIGEST}"),
        (f"busybox:1@{_DIGEST}", f"docker.io/library/busybox@{_DIGEST}"),
    ],
)
def test_a_reference_is_filled_in(text: str, full: str) -> None:
    assert str(parse(text)) == full


@pytest.mark.parametrize(
    "text", ["", "a/UPPER", "busybox:", "busybox:-x", "x@sha256:12", "a//b", "a b", "/x", "x/", f"x:{'t' * 129}", "../x"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(RuntimeFault) as caught:
        parse(text)
    assert caught.value.reason == "InvalidImageName"
