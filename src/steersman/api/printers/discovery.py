"""Rows of discovery.k8s.io/v1."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api.kinds import TableSpec
from steersman.api.printers.cells import AGE, NAME, age, col, limited, spec
from steersman.machinery.meta import Obj, name_of

_MOST = 3


def _port(port: Obj) -> str:
    return str(port.get("port") or port.get("name") or "*")


def _endpoint_slice(obj: Obj, now: datetime) -> list[Any]:
    addresses = [address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ()]
    return [
        name_of(obj),
        str(obj.get("addressType") or ""),
        limited([_port(port) for port in obj.get("ports") or ()], _MOST, "<unset>"),
        limited(addresses, _MOST, "<unset>"),
        age(obj, now),
    ]


TABLES: dict[str, TableSpec] = {
    "EndpointSlice": spec(_endpoint_slice, NAME, col("AddressType"), col("Ports"), col("Endpoints"), AGE),
}
