"""`kubectl create role`, `rolebinding`, `clusterrole`, `clusterrolebinding`."""

from __future__ import annotations

from steersman.cli.kubectl.commands.create.generate import Wanted, generator, meta
from steersman.cli.kubectl.errors import KubectlError, PlainError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.mapping import NoMatch
from steersman.machinery.meta import Obj

_GROUP = "rbac.authorization.k8s.io"
_VERSION = f"{_GROUP}/v1"
_VERBS = frozenset(
    ("*", "get", "delete", "list", "create", "update", "patch", "watch", "proxy", "deletecollection", "use", "bind", "escalate",
     "impersonate")
)  # fmt: skip

_RULES = (
    Flag("resource", "strings", "Resource that the rule applies to"),
    Flag("resource-name", "array", "Resource in the white list that the rule applies to, repeat this flag for multiple items"),
    Flag("verb", "strings", "Verb that applies to the resources contained in the rule"),
)
SUBJECTS = (
    Flag("group", "array", "Groups to bind to the role. The flag can be repeated to add multiple groups."),
    Flag("serviceaccount", "array", "Service accounts to bind to the role, in the format <namespace>:<name>."),
    Flag("user", "array", "Usernames to bind to the role. The flag can be repeated to add multiple users."),
)


async def role(wanted: Wanted) -> Obj:
    verbs = _verbs(wanted)
    return {**_head("Role", wanted.name), "rules": await _rules(wanted, verbs)}


async def cluster_role(wanted: Wanted) -> Obj:
    flags = wanted.flags
    urls = flags.texts("non-resource-url")
    if aggregation := flags.texts("aggregation-rule"):
        if urls or flags.texts("verb") or flags.texts("resource") or flags.texts("resource-name"):
            raise KubectlError("aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames")
        labels = dict(_pair(text) for text in aggregation)
        return {
            **_head("ClusterRole", wanted.name),
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": labels}]},
            "rules": None,
        }
    verbs = _verbs(wanted)
    for url in urls:
        if url != "*" and not url.startswith("/"):
            raise KubectlError("nonResourceURL should start with /")
        if "*" in url[:-1]:
            raise KubectlError("nonResourceURL only supports wildcard matches when '*' is at the end")
    rules = [] if urls and not flags.texts("resource") else await _rules(wanted, verbs)
    if urls:
        rules.append({"nonResourceURLs": urls, "verbs": verbs})
    return {**_head("ClusterRole", wanted.name), "rules": rules}


def role_binding(wanted: Wanted) -> Obj:
    role, cluster_role = wanted.flags.text("role"), wanted.flags.text("clusterrole")
    if bool(role) == bool(cluster_role):
        raise KubectlError("exactly one of clusterrole or role must be specified")
    return _binding("RoleBinding", wanted, "Role" if role else "ClusterRole", role or cluster_role)


def cluster_role_binding(wanted: Wanted) -> Obj:
    return _binding("ClusterRoleBinding", wanted, "ClusterRole", wanted.flags.text("clusterrole"))


def _binding(kind: str, wanted: Wanted, role_kind: str, name: str) -> Obj:
    obj: Obj = {**_head(kind, wanted.name), "roleRef": {"apiGroup": _GROUP, "kind": role_kind, "name": name}}
    if subjects := subjects_of(wanted.flags):
        obj["subjects"] = subjects
    return obj


def subjects_of(flags: Flags) -> list[Obj]:
    found: list[Obj] = [{"apiGroup": _GROUP, "kind": "User", "name": name} for name in flags.texts("user")]
    found += [{"apiGroup": _GROUP, "kind": "Group", "name": name} for name in flags.texts("group")]
    for account in flags.texts("serviceaccount"):
        namespace, colon, name = account.partition(":")
        if not namespace or not colon or not name or ":" in name:
            raise KubectlError("serviceaccount must be <namespace>:<name>")
        found.append({"kind": "ServiceAccount", "name": name, "namespace": namespace})
    return found


def _head(kind: str, name: str) -> Obj:
    return {"apiVersion": _VERSION, "kind": kind, "metadata": meta(name)}


def _verbs(wanted: Wanted) -> list[str]:
    """`*` stands for all, so that nothing else need be named beside it."""
    verbs = list(dict.fromkeys(wanted.flags.texts("verb")))
    if not verbs:
        raise KubectlError("at least one verb must be specified")
    if "*" in verbs:
        return ["*"]
    for verb in verbs:
        if verb not in _VERBS:
            wanted.ctx.complain(f"Warning: '{verb}' is not a standard resource verb")
    return verbs


async def _rules(wanted: Wanted, verbs: list[str]) -> list[Obj]:
    """One rule per API group, in the order in which the groups are first named."""
    asked = wanted.flags.texts("resource")
    if not asked:
        raise KubectlError("at least one resource must be specified")
    names = list(dict.fromkeys(wanted.flags.texts("resource-name")))
    groups: dict[str, list[str]] = {}
    for text in dict.fromkeys(asked):
        group, resource = await _resource(wanted, text)
        known = groups.setdefault(group, [])
        if resource not in known:
            known.append(resource)
    rules: list[Obj] = []
    for group, resources in groups.items():
        rule: Obj = {"apiGroups": [group], "resources": resources, "verbs": verbs}
        if names:
            rule["resourceNames"] = names
        rules.append(rule)
    return rules


async def _resource(wanted: Wanted, text: str) -> tuple[str, str]:
    """Group and resource (with its subresource) of `pods/log`, `deploy`, `deployments.apps`, `*.apps`."""
    whole, slash, sub = text.partition("/")
    word, _, group = whole.partition(".")
    if word == "*":
        return group, "*" + slash + sub
    try:
        at = (await wanted.ctx.mapper.for_argument(whole)).resource
    except NoMatch as error:
        raise PlainError(str(error)) from None
    return at.group, at.plural + slash + sub


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise KubectlError(f"{text} must be formatted as key=value")
    return key, value


ROLE = generator(
    "Create a role with single rule.",
    "create role NAME --verb=verb --resource=resource.group/subresource [--resource-name=resourcename] [options]",
    role,
    _RULES,
)
CLUSTER_ROLE = generator(
    "Create a cluster role.",
    "create clusterrole NAME --verb=verb --resource=resource.group [--resource-name=resourcename] [options]",
    cluster_role,
    (
        *_RULES,
        Flag("aggregation-rule", "strings", "An aggregation label selector for combining ClusterRoles."),
        Flag("non-resource-url", "strings", "A partial url that user should have access to."),
    ),
)
ROLE_BINDING = generator(
    "Create a role binding for a particular role or cluster role.",
    "create rolebinding NAME --clusterrole=NAME|--role=NAME [--user=username] [--group=groupname] "
    "[--serviceaccount=namespace:serviceaccountname] [options]",
    role_binding,
    (
        *SUBJECTS,
        Flag("clusterrole", help="ClusterRole this RoleBinding should reference"),
        Flag("role", help="Role this RoleBinding should reference"),
    ),
    failing="failed to create rolebinding: ",
)
CLUSTER_ROLE_BINDING = generator(
    "Create a cluster role binding for a particular cluster role.",
    "create clusterrolebinding NAME --clusterrole=NAME [--user=username] [--group=groupname] "
    "[--serviceaccount=namespace:serviceaccountname] [options]",
    cluster_role_binding,
    (*SUBJECTS, Flag("clusterrole", help="ClusterRole this ClusterRoleBinding should reference")),
    required=("clusterrole",),
    failing="failed to create clusterrolebinding: ",
)
