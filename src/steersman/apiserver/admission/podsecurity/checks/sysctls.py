"""Only sysctls that touch nobody else on the node; the list has grown with the versions."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, CheckPod, Violation, security
from steersman.apiserver.admission.podsecurity.levels import BASELINE
from steersman.machinery.meta import Obj

_SAFE = frozenset(
    (
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
    )
)  # fmt: skip
_SAFE_1_27 = _SAFE | {"net.ipv4.ip_local_reserved_ports"}
_SAFE_1_29 = _SAFE_1_27 | {
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip
_SAFE_1_32 = _SAFE_1_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}


def _check(safe: frozenset[str]) -> CheckPod:
    def check(_metadata: Obj, spec: Obj) -> Violation | None:
        names = (str(sysctl.get("name") or "") for sysctl in security(spec).get("sysctls") or ())
        bad = [name for name in names if name not in safe]
        return Violation("forbidden sysctls", ", ".join(bad)) if bad else None

    return check


CHECK = Check(
    "sysctls", BASELINE, ((0, _check(_SAFE)), (27, _check(_SAFE_1_27)), (29, _check(_SAFE_1_29)), (32, _check(_SAFE_1_32)))
)
