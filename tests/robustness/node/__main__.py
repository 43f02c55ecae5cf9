"""As many rounds as wanted: `python -m tests.robustness.node --rounds 200 --seed 1 [--runtime containerd]`, as root.

Says of each round who was killed and when, and of the first broken promise what the cluster was like.
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.e2e.harness import Stopwatch
from tests.robustness.node.breakable import cluster
from tests.robustness.node.rounds import Broken, Rounds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.robustness.node", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each further one has the next")
    parser.add_argument("--runtime", choices=("native", "containerd"), default="native")
    args = parser.parse_args()
    with cluster(f"stm-kill-{os.getpid()}", args.runtime) as (made, api):
        rounds = Rounds(made, api)
        for seed in range(args.seed, args.seed + args.rounds):
            watch = Stopwatch()
            try:
                kills = rounds.run(seed)
            except Broken as fault:
                print(fault, made.condition(), sep="\n", flush=True)
                return 1
            lost = f" (containerd forgot {', '.join(rounds.forgotten)})" if rounds.forgotten else ""
            rounds.forgotten.clear()
            print(f"seed {seed}: {watch.seconds:.1f} s: {'; '.join(map(str, kills))}{lost}", flush=True)
    print(f"{args.rounds} rounds, nothing leaked, nothing started twice")
    return 0


if __name__ == "__main__":
    sys.exit(main())
