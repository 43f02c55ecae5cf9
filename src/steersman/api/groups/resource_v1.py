"""resource.k8s.io/v1 (dynamic resource allocation): devices that drivers offer, and claims to them.

Only the objects: nothing allocates devices to claims, so a claim keeps waiting until somebody writes its allocation.
"""

from __future__ import annotations

from steersman.api.defaults import resource as defaults
from steersman.api.groups.common import selectable
from steersman.api.kinds import STATUS, KindSpec
from steersman.api.strategies import resource
from steersman.machinery.gvk import Resource

GROUP = "resource.k8s.io"
SCHEMA = "io.k8s.api.resource.v1."

DEVICE_CLASSES = KindSpec(
    resource=Resource(GROUP, "v1", "deviceclasses", False, "DeviceClass"),
    schema=SCHEMA + "DeviceClass",
    strategy=resource.DEVICE_CLASS,
    delete_returns_object=True,
)

RESOURCE_CLAIMS = KindSpec(
    resource=Resource(GROUP, "v1", "resourceclaims", kind="ResourceClaim"),
    schema=SCHEMA + "ResourceClaim",
    default=defaults.resource_claim,
    strategy=resource.RESOURCE_CLAIM,
    subresources=(STATUS,),
    delete_returns_object=True,
)

RESOURCE_CLAIM_TEMPLATES = KindSpec(
    resource=Resource(GROUP, "v1", "resourceclaimtemplates", kind="ResourceClaimTemplate"),
    schema=SCHEMA + "ResourceClaimTemplate",
    default=defaults.resource_claim_template,
    strategy=resource.RESOURCE_CLAIM_TEMPLATE,
    delete_returns_object=True,
)

RESOURCE_SLICES = KindSpec(
    resource=Resource(GROUP, "v1", "resourceslices", False, "ResourceSlice"),
    schema=SCHEMA + "ResourceSlice",
    strategy=resource.RESOURCE_SLICE,
    selectable=selectable("spec.nodeName", "spec.driver"),
    strict_field_message=True,
    unknown_field="field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {}",
    delete_returns_object=True,
)

KINDS: tuple[KindSpec, ...] = (DEVICE_CLASSES, RESOURCE_CLAIMS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_SLICES)
