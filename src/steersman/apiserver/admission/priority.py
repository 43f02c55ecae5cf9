"""Priority: a pod's priority and preemption policy come from its PriorityClass, or from the default class.

Source: upstream plugin/pkg/admission/priority.
"""

from __future__ import annotations

from steersman.api.resources import PODS, PRIORITY_CLASSES
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery.meta import Obj, name_of

_SYSTEM_CLASSES = ("system-node-critical", "system-cluster-critical")
_DEFAULT_POLICY = "PreemptLowerPriority"


class Priority:
    name = "Priority"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._default: tuple[int, Obj | None] = (-1, None)

    async def admit(self, request: AdmissionRequest) -> None:
        pod = request.obj
        if request.resource != PODS or request.subresource or pod is None:
            return
        if request.operation == "CREATE":
            await self._fill(request, pod["spec"])
        elif request.operation == "UPDATE" and request.old is not None:
            # What create filled in stays; a client's PUT of its own manifest doesn't have it.
            before = request.old["spec"]
            for key in ("priority", "preemptionPolicy"):
                if pod["spec"].get(key) is None and before.get(key) is not None:
                    pod["spec"][key] = before[key]

    async def validate(self, request: AdmissionRequest) -> None:
        if request.resource != PRIORITY_CLASSES:
            return
        if request.operation == "DELETE":
            if request.name in _SYSTEM_CLASSES:
                raise refused(request, "this is a system priority class and cannot be deleted")
        elif request.obj is not None and request.obj.get("globalDefault"):
            default = self._default_class()
            if default is not None and name_of(default) != name_of(request.obj):
                raise refused(
                    request, f"PriorityClass {name_of(default)} is already marked as default. Only one default can exist"
                )

    async def _fill(self, request: AdmissionRequest, spec: Obj) -> None:
        name = spec.get("priorityClassName") or ""
        if name:
            found = await self._lookup.get(PRIORITY_CLASSES, "", name)
            if found is None:
                raise refused(request, f"no PriorityClass with name {name} was found")
        else:
            found = self._default_class()
        priority, policy = 0, _DEFAULT_POLICY
        if found is not None:
            priority = int(found.get("value") or 0)
            policy = found.get("preemptionPolicy") or _DEFAULT_POLICY
            spec["priorityClassName"] = name_of(found)
        given = spec.get("priority")
        if given is not None and given != priority:
            raise refused(
                request,
                f"the integer value of priority ({given}) must not be provided in pod spec; priority admission controller "
                f"computed {priority} from the given PriorityClass name",
            )
        spec["priority"] = priority
        given = spec.get("preemptionPolicy")
        if given is not None and given != policy:
            raise refused(
                request,
                f"the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission "
                f"controller computed {policy} from the given PriorityClass name",
            )
        spec["preemptionPolicy"] = policy

    def _default_class(self) -> Obj | None:
        """The class marked globalDefault; of several, which only a race can make, the lowest."""
        lister = self._lookup.listers(PRIORITY_CLASSES)
        version = lister.version
        if version != self._default[0]:
            marked = [item for item in lister.list() if item.get("globalDefault")]
            self._default = (version, min(marked, key=lambda item: int(item.get("value") or 0), default=None))
        return self._default[1]
