"""Writes docs/metrics.md: every metric of the API server, scheduler, controller manager and kubelet, read from the code.

    python -m tools.metrics_page

tests/unit/tools/test_metrics_page.py fails when the page is not what this writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client.core import Metric

from steersman.apiserver import exposition
from steersman.apiserver.config import ServerConfig
from steersman.apiserver.contracts import ANONYMOUS, Listers, RequestInfo, UserInfo, Verdict
from steersman.apiserver.http import Request
from steersman.apiserver.run import APIServer, Parts
from steersman.client.interface import Client
from steersman.cluster import componentmetrics
from steersman.cluster.observed import Observed
from steersman.kubelet.server import metrics as kubelet
from steersman.machinery.clock import Clock, VirtualClock
from steersman.scheduler.counting import SchedulingCounts
from steersman.store.interface import Store
from steersman.store.memory import MemoryStore

PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
_INTRODUCTION = """# Metrics

What each part tells at its `/metrics`, under upstream's names. Made by `python -m tools.metrics_page`; do not edit.

| part | where | who may |
|---|---|---|
| API server | `/metrics`, `/metrics/slis` of port 6443 | who may `get` the path, as role `system:monitoring` |
| kubelet | `/metrics`, `/metrics/{cadvisor,probes,resource}` of port 10250 | who may `get nodes/metrics` |
| scheduler, controller manager | `/metrics` of `--secure-port` (upstream: 10259, 10257) | as the API server says |

An API server that audits or encrypts tells of that as well (`apiserver_audit_*`, `apiserver_encryption_*`,
`apiserver_storage_transformation_operations_total`). `/metrics/slis` has `kubernetes_healthcheck` and
`kubernetes_healthchecks_total` of every check that was asked for.

Other pages of the API server, for those who may `get` their paths:

- `/livez`, `/readyz`, `/healthz`, with `?verbose` and `?exclude=CHECK`, and each check alone, as `/readyz/etcd`;
- `/debug/api_priority_and_fairness/dump_priority_levels`, `dump_queues`, `dump_requests` (`?includeRequestDetails=1`);
- `/debug/pprof/`: stacks of tasks and threads, what objects there are, where the time goes (for people; not for `go tool pprof`);
- `PUT /debug/flags/v`: how much is logged; from 3 on every request has a line, as with `-v=3`.
"""


class _Nobody:
    async def authenticate(self, request: Request) -> UserInfo:
        return ANONYMOUS

    async def authorize(self, user: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
        return Verdict.DENY, ""


def page() -> str:
    observed = Observed("kube-scheduler", scheduling=SchedulingCounts(), leads=True)
    lines = [
        _INTRODUCTION,
        _table("API server", (_row(family) for family in exposition.collect(_server().metrics))),
        _table("Scheduler and controller manager", (_row(family) for family in componentmetrics.collect(observed))),
    ]
    for path, families in kubelet.PAGES.items():
        lines.append(_table(f"Kubelet, `{path}`", _rows(families)))
    return "\n".join(lines)


def _server() -> APIServer:
    """One that is never started."""
    nobody, nowhere, clock = _Nobody(), Path("/nonexistent"), VirtualClock()

    def parts(_config: ServerConfig, _store: Store, _listers: Listers, _client: Client, _clock: Clock) -> Parts:
        return Parts(nobody, nobody)

    config = ServerConfig(tls_cert=nowhere, tls_key=nowhere, client_ca=nowhere, service_account_key=nowhere)
    return APIServer(config, MemoryStore(clock), clock, parts=parts)


def _row(family: Metric) -> tuple[str, str, str, str]:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = getattr(family, "_labelnames", ())
    return name, family.type, ", ".join(labels), family.documentation


def _rows(families: Mapping[str, tuple[str, str]]) -> Iterable[tuple[str, str, str, str]]:
    return ((name, kind, "", text) for name, (kind, text) in families.items())


def _table(title: str, rows: Iterable[tuple[str, str, str, str]]) -> str:
    found = sorted(set(rows))
    lines = [f"| `{name}` | {kind} | {labels} | {text.rstrip('.')} |" for name, kind, labels, text in found]
    return "\n".join([f"\n## {title}\n", "| metric | type | labels | what |", "|---|---|---|---|", *lines])


if __name__ == "__main__":
    PAGE.write_text(page() + "\n")
