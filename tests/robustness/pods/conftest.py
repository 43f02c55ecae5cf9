"""A node whose settings make it small: few processes per pod, small logs that are looked at often. One for all of this folder."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from tests.e2e.alone import NODE, Alone
from tests.e2e.harness import eventually

from steersman.cluster.example import deploy
from steersman.machinery.clock import RealClock
from steersman.machinery.meta import condition


class Strict(Alone):
    """`podPidsLimit` is what keeps a fork bomb from the machine these tests run on."""

    max_pods, pids_limit = 110, 40
    settings_of_kubelet = """
containerLogMaxSize: 1Mi
containerLogMaxFiles: 3
containerLogMonitorInterval: 3s
"""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Strict]:
    made = Strict(f"stm-strict-{os.getpid()}")
    try:
        for name in ("scheduler", "controller-manager"):
            made.elected(name)
        made.apiserver()
        made.etcd()
        eventually(lambda: made.kubectl("get", "--raw", "/readyz") == "ok")
        made.kubelet()
        eventually(lambda: (condition(made.get("node", NODE), "Ready") or {}).get("status") == "True")
        asyncio.run(deploy.build_image(made.paths, made.settings, RealClock()))
        eventually(lambda: made.get("serviceaccount", "default"))
        yield made
    except BaseException:
        for name, part in made.parts.items():
            print(f"--- {name}\n{part.said[-3000:]}")
        raise
    finally:
        made.remove()
