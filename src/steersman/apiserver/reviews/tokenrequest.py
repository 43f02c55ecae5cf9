"""serviceaccounts/token: a signed token for a service account, for an audience, for a time, bound to an object's life.

Source: upstream pkg/registry/core/serviceaccount/storage/token.go and pkg/serviceaccount/claims.go; KEP-1205, KEP-4193.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from steersman.api.groups.bodies import TOKEN_REQUEST
from steersman.api.resources import NODES, PODS, SECRETS, SERVICE_ACCOUNTS
from steersman.apiserver.contracts import AdmissionPlugin, AdmissionRequest, Call, MutationInterface, ValidationInterface
from steersman.apiserver.http import Response
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.reviews import body
from steersman.apiserver.tokens import TokenAuthority
from steersman.machinery import fielderrors
from steersman.machinery.clock import Clock
from steersman.machinery.errors import BadRequest, Conflict, Invalid, NotFound
from steersman.machinery.gvk import split_api_version
from steersman.machinery.meta import Obj, dig, format_time, metadata, name_of, namespace_of, new_uid, uid_of

_DEFAULT_S, _MINIMUM_S, _MAXIMUM_S = 3600, 600, 1 << 32
_EXTENDED_ASK_S = 3607
"""What the ServiceAccount admission plugin writes into pods: clients of such tokens may not know yet that they expire."""
_EXTENDED_S = 365 * 24 * 3600
_RECREATED = "does not match the UID in record. The object might have been deleted and then recreated"
_BINDABLE = {"Pod": PODS, "Node": NODES, "Secret": SECRETS}


class TokenRequests:
    """CallHandler."""

    def __init__(self, authority: TokenAuthority, lookup: Lookup, clock: Clock, admission: Sequence[AdmissionPlugin]) -> None:
        self._authority, self._lookup, self._clock, self._admission = authority, lookup, clock, admission
        self._limits = authority.limits

    async def create(self, call: Call) -> Response:
        request, warnings = await body.read(call, TOKEN_REQUEST)
        namespace, name = call.info.namespace, call.info.name
        account = await self._lookup.live(SERVICE_ACCOUNTS, namespace, name)
        if account is None:
            raise NotFound.of("", SERVICE_ACCOUNTS.plural, name)
        await self._admit(call, request, warnings)
        spec = request.setdefault("spec", {})
        spec["audiences"] = spec.get("audiences") or list(self._authority.audiences)
        spec.setdefault("expirationSeconds", _DEFAULT_S)
        self._fill_metadata(request, account)
        _check(request, name)
        longest_s = self._limits.longest_s
        if longest_s and spec["expirationSeconds"] > longest_s:
            asked_s = spec["expirationSeconds"]
            warnings.append(f"requested expiration of {asked_s} seconds shortened to {longest_s} seconds")
            spec["expirationSeconds"] = longest_s
        now = self._clock.now()
        claims = await self._claims(account, spec, now)
        metadata(request)["creationTimestamp"] = format_time(now)
        expires = now + timedelta(seconds=int(spec["expirationSeconds"]))
        request["status"] = {"token": self._authority.sign(claims), "expirationTimestamp": format_time(expires)}
        return body.answer(call, request, warnings)

    async def _admit(self, call: Call, request: Obj, warnings: list[str]) -> None:
        info = call.info
        asked = AdmissionRequest(
            "CREATE", SERVICE_ACCOUNTS, "token", info.namespace, info.name, request, None, call.user, warnings=warnings
        )
        for plugin in self._admission:
            if isinstance(plugin, MutationInterface):
                await plugin.admit(asked)
        for plugin in self._admission:
            if isinstance(plugin, ValidationInterface):
                await plugin.validate(asked)

    @staticmethod
    def _fill_metadata(request: Obj, account: Obj) -> None:
        given = metadata(request)
        if given.get("namespace") and given["namespace"] != namespace_of(account):
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        if given.get("uid") and given["uid"] != uid_of(account):
            raise _conflict("", SERVICE_ACCOUNTS.plural, name_of(account), given["uid"])
        given.setdefault("name", name_of(account))
        given["namespace"] = namespace_of(account)

    async def _claims(self, account: Obj, spec: Obj, now: datetime) -> Obj:
        namespace, name = namespace_of(account), name_of(account)
        private: Obj = {"namespace": namespace, "serviceaccount": _ref(account)}
        ref = spec.get("boundObjectRef")
        if ref:
            await self._bind(private, account, ref)
        issued = int(now.timestamp())
        expires = issued + int(spec["expirationSeconds"])
        ours = set(spec["audiences"]) <= set(self._authority.audiences)
        if "pod" in private and ours and spec["expirationSeconds"] == _EXTENDED_ASK_S and self._limits.extend:
            private["warnafter"] = expires
            expires = issued + min(_EXTENDED_S, self._limits.longest_s or _EXTENDED_S)
        return {
            "aud": spec["audiences"],
            "exp": expires,
            "iat": issued,
            "iss": self._authority.issuer,
            "jti": new_uid(),
            "kubernetes.io": private,
            "nbf": issued,
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }

    async def _bind(self, private: Obj, account: Obj, ref: Obj) -> None:
        """Add the claims of the object that the token shall live and die with."""
        group, version = split_api_version(ref.get("apiVersion") or "")
        kind, name = ref.get("kind") or "", ref.get("name") or ""
        resource = _BINDABLE.get(kind)
        if resource is None or group:
            raise BadRequest(f"cannot bind token to object of type {group}/{version}, Kind={kind}")
        namespace = namespace_of(account) if resource.namespaced else ""
        found = await self._lookup.live(resource, namespace, name)
        if found is None:
            raise NotFound.of("", resource.plural, name)
        if ref.get("uid") and uid_of(found) != ref["uid"]:
            raise _conflict(group, kind, name, ref["uid"])
        private[kind.lower()] = _ref(found)
        if kind != "Pod":
            return
        if dig(found, "spec", "serviceAccountName", default="") != name_of(account):
            raise BadRequest(
                f'cannot bind token for serviceaccount "{name_of(account)}" to pod running with different serviceaccount name.'
            )
        node = dig(found, "spec", "nodeName", default="")
        if node:
            machine = await self._lookup.live(NODES, "", node)
            private["node"] = _ref(machine) if machine is not None else {"name": node}


def _check(request: Obj, account: str) -> None:
    errors = []
    seconds = int(request["spec"]["expirationSeconds"])
    if seconds < _MINIMUM_S:
        text = "may not specify a duration less than 10 minutes"
        errors.append(fielderrors.invalid("spec.expirationSeconds", seconds, text))
    if seconds > _MAXIMUM_S:
        text = "may not specify a duration larger than 2^32 seconds"
        errors.append(fielderrors.invalid("spec.expirationSeconds", seconds, text))
    if name_of(request) != account:
        text = "must match the service account name if specified"
        errors.append(fielderrors.invalid("metadata.name", name_of(request), text))
    if errors:
        raise Invalid.of(TOKEN_REQUEST.resource.group, TOKEN_REQUEST.kind, name_of(request), errors)


def _ref(obj: Obj) -> Obj:
    return {"name": name_of(obj), "uid": uid_of(obj)}


def _conflict(group: str, plural: str, name: str, uid: str) -> Conflict:
    return Conflict.of(group, plural, name, f"the UID in the bound object reference ({uid}) {_RECREATED}")
