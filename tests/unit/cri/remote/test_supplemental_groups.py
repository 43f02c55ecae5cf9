"""Which groups of the image's count, in CRI's words."""

from __future__ import annotations

import pytest

from steersman.cri.messages import ContainerConfig, SandboxConfig, Security
from steersman.cri.remote import messages
from steersman.cri.server import requests


@pytest.mark.parametrize("strict", [False, True])
def test_the_policy_arrives_as_it_was_sent(strict: bool) -> None:
    security = Security(run_as_user=1000, supplemental_groups=(4000,), strict_groups=strict)
    sent = messages.container(ContainerConfig("main", "image", security=security), SandboxConfig("web", "default", "u1"))
    assert requests.container(sent).security == security
