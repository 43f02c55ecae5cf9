"""Transcripts: what a user types and what kubectl answers, as files that are both the test's input and its expectation.

A transcript has lines `$ command` (of sh), then what came of it: two spaces before a line of stdout, `! ` before one of stderr,
`? ` before an exit code that is not 0, and `\\` where the last line of stdout had no end. An empty line of an answer is a `.`;
`# ` is a remark. Commands end when they end: what has to be waited for is waited for by `kubectl wait` and its kin.

What varies from run to run is masked in the answers. Not here: the server (conftest.py).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_COMMAND_S = 300
_EMPTY, _NO_END = ".", "\\"
_RULES = (
    (r"(?<=\S) {2,}(?=\S)", "  "),  # columns are as wide as what varies
    (r"(?<=\S) +$", ""),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "<time>"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "<date>"),
    (r"(?<=resourceVersion: )\"\d+\"|(?<=\"resourceVersion\": )\"\d+\"", '"<version>"'),
    (r"(?<=Resource Version:  )\d+", "<version>"),
    (r"(?<=\" in )[\d.]+m?s(?= \()", "<age>"),  # of a pull
    (r"(^|  |\()(\d+h)?(\d+m)?(\d+s|\d+ms|\d\.\d+m?s)(?= |$|\))( \(x\d+ over [\dhms]+\))?", r"\1<age>"),
    (r"(^|  )([2-9]|[1-9]\d)m(?=  |$| \(x| ago)( \(x\d+ over [\dhms]+\))?", r"\1<age>"),
    (r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-xxxxx"),
    (r"\b10\.(?!96\.0\.[01]\b)\d+\.\d+\.\d+\b", "<address>"),
    (r"\b127\.0\.0\.1:\d+", "127.0.0.1:<port>"),
    (r"(?<=:)3[0-2]\d{3}(?=/)|(?<=NodePort:  )(.*?)\b3[0-2]\d{3}(?=/)|(?<=nodePort: )3[0-2]\d{3}", "<port>"),
    (r"\bv1\.32\.\d+\S*", "v1.32"),
    (r"(?<=Kustomize Version: )\S+", "<kustomize>"),
    (r"sha256:[0-9a-f]{64}|(?<=X509SHA256=)[0-9a-f]{64}", "<digest>"),
    (r"simulated://[0-9a-f]{32}", "simulated://<id>"),
    (r"\[::1\]:\d+", "[::1]:<port>"),
    (r"(?<=Handling connection for )\d+", "<port>"),
    (r"(?<=  IPv4  )\d{4,5}(?=  192)", "<port>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}", "<time>"),
    (r"^W\d{4} [\d:.]+ +\d+ ", "W<time> "),  # kubectl's own log
    (r"(?<=\S)\.[0-9a-f]{16}$", ".<event>"),
    (r"(?<=OS-IMAGE  KERNEL-VERSION  CONTAINER-RUNTIME\n)(.*\n)+", "<machine>\n"),
    (r"(LIVE|MERGED|kubectl-edit)-\d+", r"\1"),
    (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "<token>"),
)
_MASKS = tuple((re.compile(pattern, re.MULTILINE), put) for pattern, put in _RULES)


def masked(text: str) -> str:
    """The same from run to run."""
    for pattern, put in _MASKS:
        text = pattern.sub(put, text)
    return text


@dataclass(frozen=True)
class Place:
    """Where commands run: a directory with the files they name, and the environment."""

    directory: Path
    environment: Mapping[str, str]


def commands(transcript: str) -> list[str]:
    """What is typed in it."""
    return [line[2:] for line in transcript.splitlines() if line.startswith("$ ")]


def replayed(transcript: str, place: Place) -> str:
    """The transcript with the answers of this run."""
    said: list[str] = []
    for line in transcript.splitlines():
        if line.startswith("$ "):
            said += [line, *_answer(line[2:], place)]
        elif line.startswith("#") or not line:
            said.append(line)
    return "\n".join(said) + "\n"


def _answer(command: str, place: Place) -> list[str]:
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=place.directory,
        env=dict(place.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_COMMAND_S,
        check=False,
    )
    home = str(place.directory.parent)
    out, problems = (masked(text.replace(home, "~")) for text in (done.stdout, done.stderr))
    lines = [f"  {line or _EMPTY}" for line in out.splitlines()]
    if out and not out.endswith("\n"):
        lines.append(_NO_END)
    lines += [f"! {line or _EMPTY}" for line in problems.splitlines()]
    if done.returncode:
        lines.append(f"? {done.returncode}")
    return lines
