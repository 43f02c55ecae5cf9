"""PodNodeSelector: a namespace's pods go to the nodes that its annotation, or the cluster's configuration, names.

Source: upstream plugin/pkg/admission/podnodeselector.
"""

from __future__ import annotations

from collections.abc import Mapping

from steersman.api.resources import NAMESPACES, PODS
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.config import ConfigError
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, annotations_of

_ANNOTATION = "scheduler.alpha.kubernetes.io/node-selector"
_DEFAULT = "clusterDefaultNodeSelector"
Labels = dict[str, str]


class PodNodeSelector:
    """selectors: by namespace, what its pods may ask for; under _DEFAULT what those get whose namespace says nothing."""

    name = "PodNodeSelector"

    def __init__(self, lookup: Lookup, selectors: Mapping[str, Labels]) -> None:
        self._lookup, self._selectors = lookup, selectors

    async def admit(self, request: AdmissionRequest) -> None:
        pod = request.obj
        if pod is None or not _concerns(request):
            return
        wanted, asked = await self._of_namespace(request), pod["spec"].get("nodeSelector") or {}
        if any(asked.get(key, value) != value for key, value in wanted.items()):
            raise refused(request, "pod node label selector conflicts with its namespace node label selector")
        if wanted:
            pod["spec"]["nodeSelector"] = wanted | asked
        self._check(request, pod)

    async def validate(self, request: AdmissionRequest) -> None:
        pod = request.obj
        if pod is None or not _concerns(request):
            return
        wanted, asked = await self._of_namespace(request), pod["spec"].get("nodeSelector") or {}
        if any(asked.get(key) != value for key, value in wanted.items()):
            raise refused(request, "pod node label selector conflicts with its namespace node label selector")
        self._check(request, pod)

    def _check(self, request: AdmissionRequest, pod: Obj) -> None:
        allowed = self._selectors.get(request.namespace)
        if allowed and any(allowed.get(key) != value for key, value in (pod["spec"].get("nodeSelector") or {}).items()):
            raise refused(request, "pod node label selector labels conflict with its namespace whitelist")

    async def _of_namespace(self, request: AdmissionRequest) -> Labels:
        namespace = await self._lookup.get(NAMESPACES, "", request.namespace)
        if namespace is None:
            raise NotFound.of("", NAMESPACES.plural, request.namespace)
        said = annotations_of(namespace).get(_ANNOTATION)
        if said is None:
            return self._selectors.get(_DEFAULT, {})
        try:
            return _labels(said)
        except ValueError as fault:
            raise refused(request, str(fault)) from None


def parse(configuration: Obj | None) -> Mapping[str, Labels]:
    """Of `podNodeSelectorPluginConfig`. Raises ConfigError."""
    given = (configuration or {}).get("podNodeSelectorPluginConfig") or {}
    if not isinstance(given, dict):
        raise ConfigError("podNodeSelectorPluginConfig: namespaces and their node selectors were expected")
    try:
        return {str(namespace): _labels(str(text)) for namespace, text in given.items()}
    except ValueError as fault:
        raise ConfigError(f"podNodeSelectorPluginConfig: {fault}") from fault


def _labels(text: str) -> Labels:
    """`a=b,c=d`. Raises ValueError."""
    found: Labels = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"invalid selector: [{item}]")
        found[key.strip()] = value.strip()
    return found


def _concerns(request: AdmissionRequest) -> bool:
    return request.resource == PODS and not request.subresource and request.operation == "CREATE"
