"""A dict-based API and the snapshots of it, in which controllers' decisions are carried out until nothing changes.

It keeps only what decisions rely on: resourceVersions and preconditions, finalizers and graceful deletion, generations,
owner indexes. No validation, no defaults. Test code may edit objects through `put` and `edit`.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from steersman.api.resources import NAMESPACES, PODS
from steersman.loop.spec import (
    Action,
    Call,
    ControllerSpec,
    Create,
    Decision,
    Delete,
    Emit,
    Fetch,
    FetchList,
    Objs,
    Patch,
    Result,
    Update,
    Watch,
)
from steersman.machinery.errors import AlreadyExists, Conflict, Forbidden, NotFound, StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.labels import Selector
from steersman.machinery.labeltext import parse
from steersman.machinery.meta import (
    Key,
    Obj,
    controller_of,
    format_time,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
Actions = list[Action]
Results = list[Result]
Texts = list[str]
Fault = Callable[[Action], Exception | None]


class World:
    """The API's state, its clock, and what was recorded."""

    def __init__(self, *specs: ControllerSpec) -> None:
        self.now = START
        self.specs = specs
        self.objects: dict[Resource, dict[Key, Obj]] = {}
        self.served: tuple[Resource, ...] = ()
        self.emitted: list[Emit] = []
        self.writes: list[Action] = []
        self.fault: Fault = lambda _: None
        self.after_step: Callable[[], None] = lambda: None
        self.pick: Callable[[Sequence[str]], int] = lambda _: 0
        self.grace: Callable[[Obj], bool] = lambda pod: bool((pod.get("spec") or {}).get("nodeName"))
        self._version = 0
        self._indexes: dict[str, Callable[[Obj], Iterable[str]]] = {}
        self._queue: list[tuple[ControllerSpec, Key]] = []
        self._timers: list[tuple[datetime, ControllerSpec, Key]] = []
        for spec in specs:
            for watch in spec.watches:
                self._indexes.update(watch.indexes)

    # --- Snapshot ---------------------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        return self.objects.get(resource, {}).get((namespace, name))

    def list(self, resource: Resource, namespace: str | None = None, selector: Selector | None = None) -> Objs:
        return [
            obj
            for obj in self.objects.get(resource, {}).values()
            if (namespace is None or namespace_of(obj) == namespace) and (selector is None or selector.matches(labels_of(obj)))
        ]

    def owned_by(self, resource: Resource, uid: str) -> Objs:
        return [obj for obj in self.list(resource) if (controller_of(obj) or {}).get("uid") == uid]

    def indexed(self, resource: Resource, index: str, value: str) -> Objs:
        return [obj for obj in self.list(resource) if value in self._indexes[index](obj)]

    def find_uid(self, uid: str) -> tuple[Resource, Obj] | None:
        return next(((r, obj) for r, table in self.objects.items() for obj in table.values() if uid_of(obj) == uid), None)

    def dependents(self, uid: str) -> Sequence[tuple[Resource, Obj]]:
        return [
            (resource, obj)
            for resource, table in self.objects.items()
            for obj in table.values()
            if any(ref["uid"] == uid for ref in obj["metadata"].get("ownerReferences") or ())
        ]

    def resources(self) -> Sequence[Resource]:
        return self.served

    # --- what tests do --------------------------------------------------------------------------------------

    def put(self, resource: Resource, obj: Obj) -> Obj:
        """Create or replace, filling in what the server would."""
        made = copy.deepcopy(obj)
        made.setdefault("apiVersion", resource.api_version)
        made.setdefault("kind", resource.kind)
        meta = made.setdefault("metadata", {})
        if resource.namespaced:
            meta.setdefault("namespace", "default")
        if "name" not in meta:
            meta["name"] = f"{meta['generateName']}{self._version:05d}"
        meta.setdefault("uid", f"uid-{resource.plural}-{meta['name']}-{self._version}")
        meta.setdefault("creationTimestamp", format_time(self.now))
        meta.setdefault("generation", 1)
        return self._store(resource, made)

    def edit(self, resource: Resource, name: str, change: Callable[[Obj], Any], namespace: str = "default") -> Obj:
        found = self.get(resource, namespace if resource.namespaced else "", name)
        assert found is not None, f"no {resource.plural} {name}"
        changed = copy.deepcopy(found)
        change(changed)
        if changed.get("spec") != found.get("spec"):
            changed["metadata"]["generation"] = found["metadata"].get("generation", 0) + 1
        return self._store(resource, changed)

    def remove(self, resource: Resource, name: str, namespace: str = "default") -> None:
        key = (namespace if resource.namespaced else "", name)
        gone = self.objects[resource].pop(key)
        self._announce(resource, gone, None)

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.tick()

    def tick(self) -> None:
        """Queue what `every_s` would."""
        for spec in self.specs:
            if spec.periodic is not None:
                self._queue += [(spec, key) for key in spec.periodic(self)]
        due = [timer for timer in self._timers if timer[0] <= self.now]
        self._timers = [timer for timer in self._timers if timer[0] > self.now]
        self._queue += [(spec, key) for _, spec, key in due]

    def settle(self, limit: int = 2000) -> int:
        """Reconcile queued keys until none is left; timers within the same second are not run. The number of turns."""
        turns = 0
        while self._queue:
            spec, key = self._queue.pop(self.pick([key[1] for _, key in self._queue]))
            self.reconcile(spec, key)
            self.after_step()
            turns += 1
            assert turns < limit, f"does not settle: {spec.name} {key}"
        return turns

    def reconcile(self, spec: ControllerSpec, key: Key) -> Actions:
        """One turn of one key, as the runner would do it."""
        before = len(self.writes)
        failed = False
        decision = spec.reconcile(self, key, self.now)
        while True:
            results = self._perform(decision)
            failed = failed or any(result.error is not None for result in results if not _tolerated(result))
            if decision.again_after_s is not None:
                self._timers.append((self.now + timedelta(seconds=decision.again_after_s), spec, key))
            if decision.then is None:
                break
            decision = decision.then(results)
        if failed:
            self._timers.append((self.now + timedelta(seconds=1), spec, key))
        return self.writes[before:]

    def make_ready(self, pod: Obj) -> None:
        """What a kubelet reports of a pod that runs."""
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": format_time(self.now)}
        status = {"phase": "Running", "podIP": f"10.244.0.{self._version % 250 + 1}", "conditions": [ready]}
        self.edit(PODS, name_of(pod), lambda found: found.update(status=status), namespace_of(pod))

    def events(self, reason: str = "") -> Texts:
        return [event.message for event in self.emitted if not reason or event.reason == reason]

    # --- performing -----------------------------------------------------------------------------------------

    def _perform(self, decision: Decision) -> Results:
        results: Results = []
        broken: set[str] = set()
        for action in decision.actions:
            if isinstance(action, Emit):
                self.emitted.append(action)
                results.append(Result(action))
                continue
            if isinstance(action, Call):
                results.append(self._call(action))
                continue
            batch = action.batch if isinstance(action, Create | Delete) else ""
            if batch and batch in broken:
                results.append(Result(action, skipped=True))
                continue
            error = self.fault(action)
            try:
                if error is not None:
                    raise error
                results.append(Result(action, self._carry_out(action)))
            except StatusError as fault:
                if batch and not _tolerated(Result(action, error=fault)):
                    broken.add(batch)
                results.append(Result(action, error=fault))
        return results

    def _call(self, action: Call) -> Result:
        async def awaited() -> Any:
            return await action.do()

        try:
            return Result(action, value=asyncio.run(awaited()))
        except Exception as error:
            return Result(action, error=error)

    def _carry_out(self, action: Action) -> Obj | None:
        if not isinstance(action, Fetch | FetchList):
            self.writes.append(action)
        match action:
            case Create():
                return self._create(action)
            case Update():
                return self._update(action)
            case Patch():
                return self._patch(action)
            case Delete():
                return self._delete(action)
            case Fetch():
                return copy.deepcopy(self._found(action.resource, action.namespace, action.name))
            case FetchList():
                chosen = parse(action.label_selector)
                return {"items": copy.deepcopy(self.list(action.resource, action.namespace, chosen))}
            case Emit() | Call():
                return None

    def _found(self, resource: Resource, namespace: str, name: str) -> Obj:
        found = self.get(resource, namespace, name)
        if found is None:
            raise NotFound.of(resource.group, resource.plural, name)
        return found

    def _create(self, action: Create) -> Obj:
        key = key_of(action.obj)
        namespace = self.get(NAMESPACES, "", key[0])
        if namespace is not None and is_deleting(namespace):
            cause = {"reason": "NamespaceTerminating", "message": f"namespace {key[0]} is being terminated"}
            raise Forbidden.of("", action.resource.plural, key[1], "the namespace is being terminated", causes=[cause])
        if key[1] and self.get(action.resource, *key) is not None:
            raise AlreadyExists.of(action.resource.group, action.resource.plural, key[1])
        return self.put(action.resource, action.obj)

    def _update(self, action: Update) -> Obj:
        obj, resource = action.obj, action.resource
        old = self._found(resource, *key_of(obj))
        if obj["metadata"].get("resourceVersion", old["metadata"]["resourceVersion"]) != old["metadata"]["resourceVersion"]:
            raise Conflict.of(resource.group, resource.plural, name_of(obj))
        new = copy.deepcopy(obj)
        if action.subresource == "status":
            new["spec"] = copy.deepcopy(old.get("spec"))
        elif not action.subresource and "status" in old:
            new["status"] = copy.deepcopy(old["status"])
        if new.get("spec") != old.get("spec") and not action.subresource:
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        return self._store(resource, new)

    def _patch(self, action: Patch) -> Obj:
        old = self._found(action.resource, action.namespace, action.name)
        assert isinstance(action.patch, dict)
        for field in ("uid", "resourceVersion"):
            wanted = (action.patch.get("metadata") or {}).get(field)
            if wanted and wanted != old["metadata"][field]:
                raise Conflict.of(action.resource.group, action.resource.plural, action.name)
        new = _merged(old, action.patch, strategic=action.kind == "strategic")
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        return self._store(action.resource, new)

    def _delete(self, action: Delete) -> Obj:
        resource = action.resource
        old = self._found(resource, action.namespace, action.name)
        meta = old["metadata"]
        if (action.uid and action.uid != meta["uid"]) or (
            action.resource_version and action.resource_version != meta["resourceVersion"]
        ):
            raise Conflict.of(resource.group, resource.plural, action.name)
        new = copy.deepcopy(old)
        finalizers = [item for item in meta.get("finalizers") or () if item not in ("orphan", "foregroundDeletion")]
        extra = {"Orphan": "orphan", "Foreground": "foregroundDeletion"}.get(action.propagation)
        new["metadata"]["finalizers"] = finalizers + ([extra] if extra else [])
        graceful = resource == PODS and action.grace_period_s != 0 and self.grace(old)
        terminating_namespace = resource.kind == "Namespace"
        if graceful or new["metadata"]["finalizers"] or terminating_namespace:
            new["metadata"].setdefault("deletionTimestamp", format_time(self.now))
            if graceful:
                new["metadata"]["deletionGracePeriodSeconds"] = 30
            return self._store(resource, new, keep=graceful or terminating_namespace)
        del self.objects[resource][key_of(old)]
        self._announce(resource, old, None)
        return copy.deepcopy(old)

    def _store(self, resource: Resource, obj: Obj, *, keep: bool = False) -> Obj:
        table = self.objects.setdefault(resource, {})
        key = key_of(obj)
        old = table.get(key)
        if old is not None and _content(old) == _content(obj):
            return copy.deepcopy(old)
        meta = obj["metadata"]
        if meta.get("finalizers") == []:
            del meta["finalizers"]
        self._version += 1
        meta["resourceVersion"] = str(self._version)
        held = (
            meta.get("finalizers") or keep or meta.get("deletionGracePeriodSeconds") or (obj.get("spec") or {}).get("finalizers")
        )
        if meta.get("deletionTimestamp") and not (held or keep):
            table.pop(key, None)
            self._announce(resource, old, obj)
            return copy.deepcopy(obj)
        table[key] = obj
        self._announce(resource, old, obj)
        return copy.deepcopy(obj)

    def _announce(self, resource: Resource, *versions: Obj | None) -> None:
        for spec in self.specs:
            for watch in self._watches(spec):
                if watch.resource == resource:
                    for obj in versions:
                        if obj is not None:
                            self._enqueue(spec, watch, obj)

    def _watches(self, spec: ControllerSpec) -> Iterable[Watch]:
        yield from spec.watches
        if spec.discovered is not None:
            yield from spec.discovered(self.resources())

    def _enqueue(self, spec: ControllerSpec, watch: Watch, obj: Obj) -> None:
        keys = set(watch.keys(obj) if watch.keys else ()) | set(watch.keys_with(obj, self) if watch.keys_with else ())
        for key in sorted(keys):
            if (spec, key) not in self._queue:
                self._queue.append((spec, key))


def _tolerated(result: Result) -> bool:
    return isinstance(result.action, Delete | Fetch | FetchList) and isinstance(result.error, NotFound)


def _content(obj: Obj) -> Obj:
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}}


def _merged(old: Any, patch: Any, *, strategic: bool) -> Any:
    """A merge patch; strategic only for the lists that controllers patch."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        elif key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            new[field] = [item for item in new.get(field) or () if item not in value]
        elif strategic and key == "ownerReferences":
            named = {ref["uid"] for ref in value}
            kept = [ref for ref in new.get(key) or () if ref["uid"] not in named]
            new[key] = kept + [ref for ref in value if "$patch" not in ref]
        elif strategic and key == "finalizers":
            new[key] = [*(new.get(key) or ()), *(item for item in value if item not in (new.get(key) or ()))]
        elif strategic and key == "conditions":
            named = {item["type"] for item in value}
            new[key] = [item for item in new.get(key) or () if item["type"] not in named] + copy.deepcopy(value)
        else:
            new[key] = _merged(new.get(key), value, strategic=strategic)
    return new
