"""/version: the Kubernetes version this server speaks."""

from __future__ import annotations

import platform
from functools import cache

import orjson

GIT_VERSION = "v1.36.2"


@cache
def body() -> bytes:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return orjson.dumps(
        {
            "major": "1",
            "minor": "36",
            "emulationMajor": "1",
            "emulationMinor": "36",
            "minCompatibilityMajor": "1",
            "minCompatibilityMinor": "35",
            "gitVersion": f"{GIT_VERSION}+steersman",
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": f"python{platform.python_version()}",
            "compiler": platform.python_implementation().lower(),
            "platform": f"linux/{machine}",
        },
        option=orjson.OPT_INDENT_2,
    )
