"""PodSecurity: pods keep to the level their namespace's labels name (KEP-2579). Refused, warned of, or noted for the audit.

Source: upstream pod-security-admission/admission. levels.py: the labels; evaluator.py and checks/: what a level forbids;
config.py: defaults and exemptions; existing.py: the pods that are there when a namespace becomes stricter.
"""

from __future__ import annotations

from steersman.api.resources import (
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
)
from steersman.apiserver.admission.podsecurity import evaluator, existing
from steersman.apiserver.admission.podsecurity.check import Violation
from steersman.apiserver.admission.podsecurity.config import PodSecurityConfiguration
from steersman.apiserver.admission.podsecurity.levels import MODES, PREFIX, PRIVILEGED, LevelVersion, Policy, policy_of, stricter
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery.clock import Clock
from steersman.machinery.errors import InternalError, Invalid
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, labels_of, name_of

POD_TEMPLATES = Resource("", "v1", "podtemplates", kind="PodTemplate")
_TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    **{
        (resource.group, resource.plural): ("spec", "template")
        for resource in (REPLICATION_CONTROLLERS, REPLICA_SETS, DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, JOBS)
    },
    (POD_TEMPLATES.group, POD_TEMPLATES.plural): ("template",),
    (CRON_JOBS.group, CRON_JOBS.plural): ("spec", "jobTemplate", "spec", "template"),
}
_IGNORED_SUBRESOURCES = frozenset(("exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"))
_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"


class PodSecurity:
    name = "PodSecurity"

    def __init__(self, lookup: Lookup, clock: Clock, configuration: PodSecurityConfiguration | None = None) -> None:
        self._lookup, self._clock = lookup, clock
        self._configuration = configuration or PodSecurityConfiguration()

    async def validate(self, request: AdmissionRequest) -> None:
        obj, resource = request.obj, request.resource
        if obj is None or request.operation not in ("CREATE", "UPDATE"):
            return
        if resource.plural == PODS.plural and resource.group == PODS.group:
            if request.subresource not in _IGNORED_SUBRESOURCES:
                await self._pod(request, obj)
        elif request.subresource:
            return
        elif resource == NAMESPACES:
            await self._namespace(request, obj)
        else:
            path = _TEMPLATES.get((resource.group, resource.plural))
            template = dig(obj, *path) if path is not None else None
            if template:
                await self._template(request, template)

    async def _pod(self, request: AdmissionRequest, pod: Obj) -> None:
        if self._exempt(request):
            return
        policy = await self._policy(request)
        if policy is None:
            raise InternalError.of(f'failed to lookup namespace "{request.namespace}"')
        if policy.privileged:
            request.audit_annotations[f"{PREFIX}enforce-policy"] = str(policy.enforce)
            return
        if request.operation == "UPDATE" and request.old is not None and not _significant(pod, request.old):
            return
        if not self._exempt_class(request, pod["spec"]):
            _evaluate(request, policy, pod.get("metadata") or {}, pod["spec"], enforced=True)

    async def _template(self, request: AdmissionRequest, template: Obj) -> None:
        """Workloads are not refused: their pods will be. Those who write them are warned."""
        if self._exempt(request):
            return
        policy = await self._policy(request)
        if policy is None or policy.warn.level == policy.audit.level == PRIVILEGED:
            return
        spec = template.get("spec") or {}
        if not self._exempt_class(request, spec):
            _evaluate(request, policy, template.get("metadata") or {}, spec, enforced=False)

    async def _policy(self, request: AdmissionRequest) -> Policy | None:
        """The namespace's; None if there is no such namespace."""
        namespace = await self._lookup.get(NAMESPACES, "", request.namespace)
        if namespace is None:
            return None
        policy, errors = policy_of(labels_of(namespace), self._configuration.defaults)
        if errors:
            request.audit_annotations[f"{PREFIX}error"] = f"Failed to parse policy: {'; '.join(map(str, errors))}"
        return policy

    async def _namespace(self, request: AdmissionRequest, namespace: Obj) -> None:
        defaults = self._configuration.defaults
        new, errors = policy_of(labels_of(namespace), defaults)
        name = name_of(namespace)
        old, before = (None, []) if request.old is None else policy_of(labels_of(request.old), defaults)
        if errors and errors != before:
            raise Invalid.of(NAMESPACES.group, NAMESPACES.kind, name, errors)
        exempt = name in self._configuration.namespaces
        if old is None:
            if exempt:
                self._tell_exempt(request, namespace, new)
            return
        if new.enforce == old.enforce or new.enforce.level == PRIVILEGED:
            return
        if new.enforce.version == old.enforce.version and not stricter(new.enforce.level, old.enforce.level):
            return
        if exempt:
            self._tell_exempt(request, namespace, new)
        else:
            exempt_classes = self._configuration.runtime_classes
            request.warnings += await existing.warnings(self._lookup, self._clock, name, new.enforce, exempt_classes)

    def _tell_exempt(self, request: AdmissionRequest, namespace: Obj, policy: Policy) -> None:
        """Labels of a namespace that is exempt say nothing."""
        if policy.privileged or policy.equivalent(self._configuration.defaults):
            return
        labels = labels_of(namespace)
        said: dict[str, LevelVersion] = {"enforce": policy.enforce, "audit": policy.audit, "warn": policy.warn}
        told = ", ".join(
            f"{mode}={said[mode]}"
            for mode in MODES
            if said[mode].level != PRIVILEGED and (PREFIX + mode in labels or f"{PREFIX}{mode}-version" in labels)
        )
        request.warnings.append(
            f'namespace "{name_of(namespace)}" is exempt from Pod Security, and the policy ({told}) will be ignored'
        )

    def _exempt(self, request: AdmissionRequest) -> bool:
        if request.namespace in self._configuration.namespaces:
            request.audit_annotations[f"{PREFIX}exempt"] = "namespace"
        elif request.user.name in self._configuration.usernames:
            request.audit_annotations[f"{PREFIX}exempt"] = "user"
        else:
            return False
        return True

    def _exempt_class(self, request: AdmissionRequest, spec: Obj) -> bool:
        if (spec.get("runtimeClassName") or "") not in self._configuration.runtime_classes:
            return False
        request.audit_annotations[f"{PREFIX}exempt"] = "runtimeClass"
        return True


def _evaluate(request: AdmissionRequest, policy: Policy, metadata: Obj, spec: Obj, *, enforced: bool) -> None:
    """Raises Forbidden. A request that is refused is not warned of as well."""
    known: dict[LevelVersion, list[Violation]] = {}

    def violations(wanted: LevelVersion) -> list[Violation]:
        if wanted not in known:
            known[wanted] = evaluator.evaluate(wanted, metadata, spec)
        return known[wanted]

    if enforced:
        request.audit_annotations[f"{PREFIX}enforce-policy"] = str(policy.enforce)
    found = violations(policy.audit)
    if found:
        text = f'would violate PodSecurity "{policy.audit}": {evaluator.details(found)}'
        request.audit_annotations[f"{PREFIX}audit-violations"] = text
    found = violations(policy.enforce) if enforced else []
    if found:
        raise refused(request, f'violates PodSecurity "{policy.enforce}": {evaluator.details(found)}')
    found = violations(policy.warn)
    if found:
        request.warnings.append(f'would violate PodSecurity "{policy.warn}": {evaluator.details(found)}')


def _significant(pod: Obj, old: Obj) -> bool:
    """Whether an update changes what the checks look at; most of a pod cannot be changed."""
    for part in ("containers", "initContainers"):
        now, before = pod["spec"].get(part) or [], old["spec"].get(part) or []
        if len(now) != len(before) or any(_changed(item, was, pod, old) for item, was in zip(now, before)):
            return True
    earlier = {item.get("name"): item for item in old["spec"].get("ephemeralContainers") or ()}
    for item in pod["spec"].get("ephemeralContainers") or ():
        was = earlier.get(item.get("name"))
        if was is None or _changed(item, was, pod, old):
            return True
    return False


def _changed(container: Obj, before: Obj, pod: Obj, old: Obj) -> bool:
    if container.get("image") != before.get("image"):
        return True
    key = f"{_SECCOMP}{container.get('name')}"
    return bool(dig(pod, "metadata", "annotations", key) != dig(old, "metadata", "annotations", key))
