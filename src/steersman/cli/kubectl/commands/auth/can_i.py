"""`kubectl auth can-i`: whether one may do something, or a list of all that one may."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.mapping import NoMatch
from steersman.cli.kubectl.output.table import layout
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

_GROUP = "authorization.k8s.io"
_ACCESS = Resource(_GROUP, "v1", "selfsubjectaccessreviews", False)
_RULES = Resource(_GROUP, "v1", "selfsubjectrulesreviews", False)
_VERBS = frozenset({
    "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "use", "bind", "impersonate", "*",
    "approve", "sign", "escalate", "attest",
})  # fmt: skip
_URL_VERBS = frozenset(("get", "put", "post", "head", "options", "delete", "patch", "*"))
_USAGE = (
    "you must specify two arguments: verb resource or verb resource/resourceName.\n"
    "See 'kubectl auth can-i -h' for help and examples."
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One row of the list: a single resource of a single group, or a URL."""

    verbs: tuple[str, ...]
    group: str = ""
    resource: str = ""
    name: str = ""
    url: str = ""

    @property
    def sort_key(self) -> str:
        # As upstream's rules write themselves.
        lists = ([*self.verbs], [self.group] if self.resource else [], [self.resource], [self.name], [self.url])
        names = ("Verbs", "APIGroups", "Resources", "ResourceNames", "NonResourceURLs")
        return "".join(f"{name}:[{' '.join(filter(None, values))}]," for name, values in zip(names, lists))


async def _can_i(ctx: Context, flags: Flags, args: list[str]) -> int:
    subresource = flags.text("subresource")
    if flags.on("list"):
        if args:
            raise KubectlError("list option must be specified with no arguments")
        if flags.on("quiet") or flags.on("all-namespaces") or subresource:
            raise KubectlError("list option can't be specified with neither quiet, all-namespaces nor subresource options")
        return await _list(ctx, flags)
    if len(args) != 2:
        raise KubectlError(_USAGE)
    verb, what = args
    namespace = "" if flags.on("all-namespaces") else ctx.namespace
    if what.startswith("/"):
        if subresource:
            raise KubectlError("--subresource can not be used with NonResourceURL")
        if verb not in _URL_VERBS:
            _warn(ctx, f"verb '{verb}' is not a known verb")
        spec: Obj = {"nonResourceAttributes": {"verb": verb, "path": what}}
    else:
        if verb not in _VERBS:
            _warn(ctx, f"verb '{verb}' is not a known verb")
        word, _, name = what.partition("/")
        resource = await _resource(ctx, word)
        if namespace and resource.kind and not resource.namespaced:
            where = f" in group '{resource.group}'" if resource.group else ""
            _warn(ctx, f"resource '{resource.plural}' is not namespace scoped{where}")
        attributes = {
            "namespace": namespace, "verb": verb, "group": resource.group, "resource": resource.plural,
            "subresource": subresource, "name": name,
        }  # fmt: skip
        spec = {"resourceAttributes": {key: value for key, value in attributes.items() if value}}
    review = await ctx.client.create(
        _ACCESS, {"apiVersion": _ACCESS.api_version, "kind": "SelfSubjectAccessReview", "spec": spec}
    )
    status: Obj = review.get("status") or {}
    allowed = bool(status.get("allowed"))
    if not flags.on("quiet"):
        reasons = [status.get("reason"), status.get("evaluationError")] if not allowed else []
        ctx.print(" - ".join(["yes" if allowed else "no", *(str(reason) for reason in reasons if reason)]))
    return 0 if allowed else 1


async def _resource(ctx: Context, word: str) -> Resource:
    """The resource a word means; one that the server doesn't know is asked about as it is written."""
    if word == "*":
        return Resource("", "", "*")
    try:
        return (await ctx.mapper.for_argument(word.lower())).resource
    except NoMatch:
        name, _, group = word.partition(".")
        where = f" in group '{group}'" if group else ""
        _warn(ctx, f"the server doesn't have a resource type '{name}'{where}")
        return Resource(group, "", name)


def _warn(ctx: Context, text: str) -> None:
    ctx.complain(f"Warning: {text}\n")


async def _list(ctx: Context, flags: Flags) -> int:
    spec = {"namespace": ctx.namespace}
    review = await ctx.client.create(_RULES, {"apiVersion": _RULES.api_version, "kind": "SelfSubjectRulesReview", "spec": spec})
    status: Obj = review.get("status") or {}
    if status.get("incomplete"):
        ctx.complain(f"warning: the list may be incomplete: {status.get('evaluationError', '')}")
    rows = [] if flags.on("no-headers") else [["Resources", "Non-Resource URLs", "Resource Names", "Verbs"]]
    for rule in sorted(_compacted(status), key=lambda rule: rule.sort_key):
        rows.append([_shown(rule), f"[{rule.url}]", f"[{rule.name}]", f"[{' '.join(rule.verbs)}]"])
    ctx.out.write(layout(rows))
    return 0


def _compacted(status: Obj) -> list[_Rule]:
    """One rule per resource with all its verbs; URLs as they come."""
    verbs: dict[tuple[str, str, str], list[str]] = {}
    for rule in status.get("resourceRules") or ():
        names = rule.get("resourceNames") or [""]
        for group, resource, verb, name in product(
            rule.get("apiGroups") or [""], rule.get("resources") or (), rule["verbs"], names
        ):
            held = verbs.setdefault((group, resource, name), [])
            if verb not in held:
                held.append(verb)
    found = [_Rule(tuple(listed), *of) for of, listed in verbs.items()]
    for rule in status.get("nonResourceRules") or ():
        found += [_Rule((verb,), url=url) for url in rule.get("nonResourceURLs") or () for verb in rule["verbs"]]
    return found


def _shown(rule: _Rule) -> str:
    name, slash, subresource = rule.resource.partition("/")
    return f"{name}.{rule.group}{slash}{subresource}" if rule.group else rule.resource


CAN_I = Command(
    "Check whether an action is allowed.\n\n VERB is a logical Kubernetes API verb like 'get', 'list', 'watch', 'delete', etc. "
    'TYPE is a Kubernetes resource. NONRESOURCEURL is a partial URL that starts with "/". NAME is the name of a particular '
    "Kubernetes resource.",
    "auth can-i VERB [TYPE | TYPE/NAME | NONRESOURCEURL] [options]",
    (
        Flag("all-namespaces", "bool", "If true, check the specified action in all namespaces.", short="A"),
        Flag("list", "bool", "If true, prints all allowed actions."),
        Flag("no-headers", "bool", "If true, prints allowed actions without headers"),
        Flag("quiet", "bool", "If true, suppress output and just return the exit code.", short="q"),
        Flag("subresource", help="SubResource such as pod/log or deployment/scale"),
    ),
    _can_i,
)
