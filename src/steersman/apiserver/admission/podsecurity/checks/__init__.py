"""The checks of the pod security standards, one module each, as upstream v1.36 has them.

Source: upstream pod-security-admission/policy. The order is that in which several are told: baseline first, by id.
"""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check
from steersman.apiserver.admission.podsecurity.checks import (
    allow_privilege_escalation,
    app_armor_profile,
    capabilities_baseline,
    capabilities_restricted,
    host_namespaces,
    host_path_volumes,
    host_ports,
    host_probes,
    privileged,
    proc_mount,
    restricted_volumes,
    run_as_non_root,
    run_as_user,
    se_linux_options,
    seccomp_baseline,
    seccomp_restricted,
    sysctls,
    windows_host_process,
)

CHECKS: tuple[Check, ...] = (
    app_armor_profile.CHECK,
    capabilities_baseline.CHECK,
    host_namespaces.CHECK,
    host_path_volumes.CHECK,
    host_ports.CHECK,
    host_probes.CHECK,
    privileged.CHECK,
    proc_mount.BASELINE_CHECK,
    se_linux_options.CHECK,
    seccomp_baseline.CHECK,
    sysctls.CHECK,
    windows_host_process.CHECK,
    allow_privilege_escalation.CHECK,
    capabilities_restricted.CHECK,
    proc_mount.RESTRICTED_CHECK,
    restricted_volumes.CHECK,
    run_as_non_root.CHECK,
    run_as_user.CHECK,
    seccomp_restricted.CHECK,
)
