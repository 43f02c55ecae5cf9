"""`make bench`: measures the figures of the design, each beside a baseline taken in the same run. Asserts nothing.

    python -m bench [--only NAME ...]

Parts: api (start, GET, POST, LIST against an API server on loopback), store (commits against bare SQLite),
scheduler (the pure core), node (a whole cluster inside a network namespace of its own: needs root).
"""

from __future__ import annotations

import argparse
import sys
import traceback

from bench import api, cluster, scheduling, storage
from bench.report import Report

# The whole cluster first: what the others write keeps the disk busy for a while after them.
PARTS = {"node": cluster.measure, "store": storage.measure, "scheduler": scheduling.measure, "api": api.measure}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS), help="measure only these parts")
    args = parser.parse_args()
    report = Report()
    failed = False
    for name in args.only:
        try:
            PARTS[name](report)
        except Exception:
            # The other parts' figures are worth having: each takes a while.
            traceback.print_exc()
            report.skip(name, "it failed, as told above")
            failed = True
    report.print()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
