"""PodTolerationRestriction: tolerations that a namespace's pods get, and those that they may have.

Both are annotations of the namespace; without them, the cluster's configuration says.
Source: upstream plugin/pkg/admission/podtolerationrestriction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from steersman.api.qos import qos_class
from steersman.api.resources import NAMESPACES, PODS
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.config import ConfigError
from steersman.apiserver.configfile import known_fields, objects
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, annotations_of

_DEFAULT, _WHITELIST = "scheduler.alpha.kubernetes.io/defaultTolerations", "scheduler.alpha.kubernetes.io/tolerationsWhitelist"
_MEMORY = {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"}
_VERSION = "podtolerationrestriction.admission.k8s.io/v1alpha1"
Tolerations = list[Obj]


@dataclass(frozen=True, slots=True)
class Restrictions:
    """The cluster's."""

    default: tuple[Obj, ...] = ()
    whitelist: tuple[Obj, ...] = ()


class PodTolerationRestriction:
    name = "PodTolerationRestriction"

    def __init__(self, lookup: Lookup, restrictions: Restrictions) -> None:
        self._lookup, self._restrictions = lookup, restrictions

    async def admit(self, request: AdmissionRequest) -> None:
        pod = request.obj
        if pod is None or not _concerns(request):
            return
        extra: Tolerations = []
        if request.operation == "CREATE":
            said = await self._said(request, _DEFAULT)
            extra = list(self._restrictions.default) if said is None else said
        if qos_class(pod["spec"]) != "BestEffort":
            extra.append(dict(_MEMORY))
        if extra:
            pod["spec"]["tolerations"] = _merged(list(pod["spec"].get("tolerations") or ()), extra)
        await self.validate(request)

    async def validate(self, request: AdmissionRequest) -> None:
        pod = request.obj
        if pod is None or not _concerns(request):
            return
        tolerations = pod["spec"].get("tolerations") or ()
        if not tolerations:
            return
        said = await self._said(request, _WHITELIST)
        allowed = list(self._restrictions.whitelist) if said is None else said
        if allowed and not all(any(_covers(one, each) for one in allowed) for each in tolerations):
            why = "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist"
            raise refused(request, why)

    async def _said(self, request: AdmissionRequest, annotation: str) -> Tolerations | None:
        namespace = await self._lookup.get(NAMESPACES, "", request.namespace)
        if namespace is None:
            raise NotFound.of("", NAMESPACES.plural, request.namespace)
        text = annotations_of(namespace).get(annotation)
        if not text:
            return None
        try:
            found = json.loads(text)
        except ValueError as fault:
            raise refused(request, str(fault)) from None
        return [dict(item) for item in found] if isinstance(found, list) else []


def parse(configuration: Obj | None) -> Restrictions:
    """Raises ConfigError."""
    if configuration is None:
        return Restrictions()
    known_fields(configuration, "", ("apiVersion", "kind", "default", "whitelist"))
    if (configuration.get("apiVersion"), configuration.get("kind")) != (_VERSION, "Configuration"):
        raise ConfigError(f"PodTolerationRestriction: a Configuration of {_VERSION} was expected")
    parts = (tuple(objects(configuration.get(key), key)) for key in ("default", "whitelist"))
    return Restrictions(*parts)


def _concerns(request: AdmissionRequest) -> bool:
    return request.resource == PODS and not request.subresource and request.operation in ("CREATE", "UPDATE")


def _merged(given: Tolerations, more: Tolerations) -> Tolerations:
    """All of them, without those that others cover; of equal ones the first."""
    together = given + more
    kept: Tolerations = []
    for index, each in enumerate(together):
        later = (other for other in together[index + 1 :] if other != each)
        if not any(_covers(other, each) for other in (*kept, *later)):
            kept.append(each)
    return kept


def _covers(wide: Obj, narrow: Obj) -> bool:
    """Whether whatever `narrow` tolerates, `wide` does too."""
    if wide == narrow:
        return True
    key, operator, effect = wide.get("key") or "", wide.get("operator") or "Equal", wide.get("effect") or ""
    if key != (narrow.get("key") or "") and (key or operator != "Exists"):
        return False
    if effect and effect != (narrow.get("effect") or ""):
        return False
    if effect == "NoExecute" and wide.get("tolerationSeconds") is not None:
        seconds = narrow.get("tolerationSeconds")
        if seconds is None or seconds > wide["tolerationSeconds"]:
            return False
    if operator == "Exists":
        return True
    same_value = (wide.get("value") or "") == (narrow.get("value") or "")
    return operator == "Equal" == (narrow.get("operator") or "Equal") and same_value
