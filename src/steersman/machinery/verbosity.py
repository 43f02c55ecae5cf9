"""How much is logged, as klog counts it: up to 2 the usual, from 3 on every request (apiserver/httplog.py), from 4 on details.

One number for the process, set by -v and by PUT /debug/flags/v.
"""

from __future__ import annotations

import logging

USUAL, REQUESTS, DETAILS = 2, 3, 4

level = USUAL


def apply(value: int) -> None:
    global level
    level = value
    logging.getLogger().setLevel(logging.DEBUG if value >= DETAILS else logging.INFO)
