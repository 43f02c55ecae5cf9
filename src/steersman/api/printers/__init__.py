"""How built-in objects print as table rows (`kubectl get`): columns and cells per kind, one module per group.

A kind that is not here prints with `default_table()`. Custom resources bring their own columns. Source: upstream pkg/printers.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from steersman.api.kinds import TableSpec
from steersman.api.printers import (
    admission,
    apps,
    autoscaling,
    batch,
    certificates,
    core,
    discovery,
    events,
    flowcontrol,
    networking,
    rbac,
    scheduling,
    small,
    storage,
)
from steersman.api.printers.cells import default_table

__all__ = ["TABLES", "default_table"]

TABLES: Final[Mapping[tuple[str, str], TableSpec]] = MappingProxyType(
    {
        **{("", kind): spec for kind, spec in core.TABLES.items()},
        ("", "Event"): events.EVENT,
        ("events.k8s.io", "Event"): events.EVENT,
        **{("apps", kind): spec for kind, spec in apps.TABLES.items()},
        **{("batch", kind): spec for kind, spec in batch.TABLES.items()},
        **{("autoscaling", kind): spec for kind, spec in autoscaling.TABLES.items()},
        **{("discovery.k8s.io", kind): spec for kind, spec in discovery.TABLES.items()},
        **{("networking.k8s.io", kind): spec for kind, spec in networking.TABLES.items()},
        **{("rbac.authorization.k8s.io", kind): spec for kind, spec in rbac.TABLES.items()},
        **{("scheduling.k8s.io", kind): spec for kind, spec in scheduling.TABLES.items()},
        **{("storage.k8s.io", kind): spec for kind, spec in storage.TABLES.items()},
        **{("certificates.k8s.io", kind): spec for kind, spec in certificates.TABLES.items()},
        **{("admissionregistration.k8s.io", kind): spec for kind, spec in admission.TABLES.items()},
        **{("flowcontrol.apiserver.k8s.io", kind): spec for kind, spec in flowcontrol.TABLES.items()},
        **small.TABLES,
    }
)
