"""apiextensions.k8s.io/v1: definitions of custom resources. What they define is served by api/customresources/."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.customresources import definition
from steersman.api.defaults import apiextensions as defaults
from steersman.api.kinds import STATUS, KindSpec
from steersman.api.strategies import apiextensions

CUSTOM_RESOURCE_DEFINITIONS = KindSpec(
    resource=r.CUSTOM_RESOURCE_DEFINITIONS,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    schema=f"{definition.PACKAGE}CustomResourceDefinition",
    settle=definition.settle,
    default=defaults.custom_resource_definition,
    strategy=apiextensions.DEFINITION,
    subresources=(STATUS,),
    delete_returns_object=True,
)

KINDS: tuple[KindSpec, ...] = (CUSTOM_RESOURCE_DEFINITIONS,)
