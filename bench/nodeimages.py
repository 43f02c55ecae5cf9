"""An image layer unpacked by the native runtime, beside the system's tar: `python -m bench images`, root.

The layer is Python's own library: some thousands of small files and a few large ones, as images have them. Ours also hashes the
content, resolves every path inside the target and sets owners, times and attributes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.report import Figure, Report
from steersman.cri.native.images import NativeImages
from steersman.machinery.clock import RealClock

_TURNS = 3


def measure(report: Report) -> None:
    if os.geteuid() != 0:
        report.skip("image unpacking", "needs root, for the owners of files")
        return
    with tempfile.TemporaryDirectory(prefix="stm-bench-", dir="/var/tmp") as directory:
        work = Path(directory)
        plain = work / "layer.tar"
        library = Path(sysconfig.get_path("stdlib"))
        subprocess.run(
            ["tar", "-cf", plain, "--exclude=site-packages", "--exclude=__pycache__", "-C", library.parent, library.name],
            check=True,
        )
        with plain.open("rb") as file:
            diff_id = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        size_mb = plain.stat().st_size / 1e6
        subprocess.run(["gzip", "--keep", "-1", plain], check=True)
        for archive, kind in ((plain, "plain"), (plain.with_suffix(".tar.gz"), "gzip")):
            ours, bare = _both(work, archive, diff_id)
            report.add(
                Figure(
                    f"image unpack, {kind} layer", size_mb / ours, "MB/s", size_mb / bare, f"tar -xf of the same {size_mb:.0f} MB"
                )
            )


def _both(work: Path, layer: Path, diff_id: str) -> tuple[float, float]:
    """Median seconds of ours and of tar, taken in turns, so that what else the machine does meets both."""
    image = _image(work, layer, diff_id)

    def ours() -> None:
        asyncio.run(NativeImages(str(work / "ours"), RealClock()).load(str(image)))

    def bare() -> None:
        (work / "bare").mkdir()
        subprocess.run(["tar", "-xf", layer, "-C", work / "bare"], check=True)

    taken = [(_took_s(ours, work / "ours"), _took_s(bare, work / "bare")) for _ in range(_TURNS)]
    return statistics.median(pair[0] for pair in taken), statistics.median(pair[1] for pair in taken)


def _image(work: Path, layer: Path, diff_id: str) -> Path:
    """The layer as an image of its own, in an archive as `docker save` makes it."""
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    (work / "config.json").write_text(json.dumps(config))
    entry = {"Config": "config.json", "RepoTags": ["steersman.example/bench:1"], "Layers": [layer.name]}
    (work / "manifest.json").write_text(json.dumps([entry]))
    path = work / f"image-{layer.name}"
    with tarfile.open(path, "w") as archive:
        for name in ("manifest.json", "config.json", layer.name):
            archive.add(work / name, name)
    return path


def _took_s(act: Callable[[], None], left: Path) -> float:
    begin = time.perf_counter()
    act()
    took = time.perf_counter() - begin
    shutil.rmtree(left)
    return took
