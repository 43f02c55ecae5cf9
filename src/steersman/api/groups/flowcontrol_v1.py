"""flowcontrol.apiserver.k8s.io/v1: flow schemas and priority levels. What they do to requests: apiserver/flowcontrol/."""

from __future__ import annotations

from steersman.api.defaults import flowcontrol as defaults
from steersman.api.kinds import STATUS, KindSpec
from steersman.api.strategies import flowcontrol
from steersman.machinery.gvk import Resource

GROUP = "flowcontrol.apiserver.k8s.io"
SCHEMA = "io.k8s.api.flowcontrol.v1."

FLOW_SCHEMAS = KindSpec(
    resource=Resource(GROUP, "v1", "flowschemas", False, "FlowSchema"),
    schema=SCHEMA + "FlowSchema",
    default=defaults.flow_schema,
    strategy=flowcontrol.FLOW_SCHEMA,
    subresources=(STATUS,),
)

PRIORITY_LEVEL_CONFIGURATIONS = KindSpec(
    resource=Resource(GROUP, "v1", "prioritylevelconfigurations", False, "PriorityLevelConfiguration"),
    schema=SCHEMA + "PriorityLevelConfiguration",
    default=defaults.priority_level,
    strategy=flowcontrol.PRIORITY_LEVEL_CONFIGURATION,
    subresources=(STATUS,),
)

KINDS: tuple[KindSpec, ...] = (FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS)
