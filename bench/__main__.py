"""`make bench`: measures the figures of the design, each beside a baseline taken in the same run. Asserts nothing.

    python -m bench [NAME ...]

Parts: node (a whole cluster inside a network namespace of its own: start, 50 real pods, idle memory and CPU; needs root), full
(100 real pods at once, 110 idle ones; root), heartbeats (5,000 simulated nodes; root), images (unpacking a layer; root), store
(commits against bare SQLite), scheduler (the pure core at 5,000 nodes), binding (the same through the API), convergence
(1,000 Deployments on simulated nodes; needs root), kubectl (start-up beside upstream's), api (start, GET, POST, LIST against an
API server on loopback), scale (30,000 pods and 1,000 watchers). Only if named: soak (ten minutes, or SOAK_S seconds; memory).
"""

from __future__ import annotations

import argparse
import sys
import traceback

from bench import api, binding, cluster, convergence, kubectl, nodebeats, nodefull, nodeimages, scale, scheduling, soak, storage
from bench.report import Report

# The whole cluster first: what the others write keeps the disk busy for a while after them.
PARTS = {
    "node": cluster.measure,
    "full": nodefull.measure,
    "heartbeats": nodebeats.measure,
    "images": nodeimages.measure,
    "store": storage.measure,
    "scheduler": scheduling.measure,
    "binding": binding.measure,
    "convergence": convergence.measure,
    "kubectl": kubectl.measure,
    "api": api.measure,
    "scale": scale.measure,
}
ON_REQUEST = {"soak": soak.measure}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("parts", nargs="*", metavar="NAME", help=f"only these: {', '.join((*PARTS, *ON_REQUEST))}")
    args = parser.parse_args()
    if unknown := set(args.parts) - PARTS.keys() - ON_REQUEST.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    report = Report()
    failed = False
    for name in args.parts or PARTS:
        try:
            (PARTS | ON_REQUEST)[name](report)
        except Exception:
            # The other parts' figures are worth having: each takes a while.
            traceback.print_exc()
            report.skip(name, "it failed, as told above")
            failed = True
    report.print()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
