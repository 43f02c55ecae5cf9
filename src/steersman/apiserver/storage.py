"""Objects as store entries: key layout, the stored encoding, and `Stored`, an object at a revision as readers keep it.

Bytes are the currency. An object is encoded once, when it is written, with kind, apiVersion and metadata first and without
a resourceVersion; the revision is spliced in here. Readers keep the `tail`: everything after the head
`{"kind":"Pod","apiVersion":"v1",`. GET is head + tail, LIST joins tails, WATCH frames head + tail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import orjson

from steersman.machinery.errors import InternalError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

ROOT = "/registry/"
ENCRYPTED = b"k8s:enc:"
"""What encrypted values begin with; none reaches this module but those that nobody could open."""
_UNREADABLE = ENCRYPTED + b"unreadable:"
_LEAD = b'"metadata":{"resourceVersion":"'


def prefix_of(resource: Resource) -> str:
    """`/registry/pods/`, `/registry/apps/deployments/`: where a resource's objects lie."""
    return f"{ROOT}{resource.group}/{resource.plural}/" if resource.group else f"{ROOT}{resource.plural}/"


def head_of(kind: str, api_version: str) -> bytes:
    """`{"kind":"Pod","apiVersion":"v1",`: what list items of built-in kinds leave out."""
    return b'{"kind":%s,"apiVersion":%s,' % (orjson.dumps(kind), orjson.dumps(api_version))


def unreadable(why: str) -> bytes:
    """What stands in place of a value that could not be decrypted."""
    return _UNREADABLE + why.encode()


def _refusal(key: str, value: bytes) -> InternalError:
    why = "identity transformer tried to read encrypted data"
    if value.startswith(_UNREADABLE):
        why = value[len(_UNREADABLE) :].decode()
    return InternalError.of(f'unable to transform key "{key}": {why}')


def encode(obj: Obj) -> bytes:
    """The stored form: kind, apiVersion, metadata first, no resourceVersion. `obj` is not changed."""
    metadata = obj["metadata"]
    if "resourceVersion" in metadata:
        metadata = {key: value for key, value in metadata.items() if key != "resourceVersion"}
    ordered: Obj = {"kind": None, "apiVersion": None, "metadata": None, **obj}
    ordered["metadata"] = metadata
    return orjson.dumps(ordered)


class _Metadata(msgspec.Struct):
    labels: dict[str, str] | None = None


class _Labelled(msgspec.Struct):
    metadata: _Metadata


_LABELS = msgspec.json.Decoder(_Labelled)
_NONE: Mapping[str, str] = {}


def _after(convert: Callable[[Obj], Obj], pick: Callable[[Obj], str]) -> Callable[[Obj], str]:
    return lambda obj: pick(convert(obj))


class Form:
    """How a resource's stored objects look: the head of their bytes, and the fields selectors may ask for.

    read: what happens to a stored object when it is loaded, in place (KindSpec.read).
    """

    __slots__ = ("resource", "prefix", "head", "selectable", "read", "_cut")

    def __init__(
        self,
        resource: Resource,
        selectable: Mapping[str, Callable[[Obj], str]],
        read: Callable[[Obj], None] | None = None,
    ) -> None:
        self.resource = resource
        self.read = read
        self.prefix = prefix_of(resource)
        self.head = head_of(resource.kind, resource.api_version)
        self.selectable = dict(selectable)
        self._cut = len(self.head) + len(b'"metadata":{')

    def learn(self, selectable: Mapping[str, Callable[[Obj], str]], convert: Callable[[Obj], Obj]) -> None:
        """Know the fields that another served version calls by other names."""
        for label, pick in selectable.items():
            if label not in self.selectable:
                self.selectable[label] = _after(convert, pick)

    def key(self, namespace: str, name: str) -> str:
        return f"{self.prefix}{namespace}/{name}" if self.resource.namespaced else self.prefix + name

    def tail(self, value: bytes, revision: int) -> bytes:
        """The tail of a stored value, with the revision spliced in."""
        if self.read is not None:
            value = self._read(value, self.read)
        elif not value.startswith(self.head):
            value = encode({**orjson.loads(value), "kind": self.resource.kind, "apiVersion": self.resource.api_version})
        return b'%b%d",%b' % (_LEAD, revision, value[self._cut :])

    def _read(self, value: bytes, read: Callable[[Obj], None]) -> bytes:
        """The value as its readers see it."""
        obj: Obj = orjson.loads(value)
        read(obj)
        obj["kind"], obj["apiVersion"] = self.resource.kind, self.resource.api_version
        return encode(obj)

    def same(self, other: Form) -> bool:
        """Whether objects loaded in the other form look as in this one."""
        mine, theirs = ((form.resource, form.read, form.selectable) for form in (self, other))
        return type(self) is type(other) and mine == theirs

    def stored(self, key: str, value: bytes, revision: int) -> Stored:
        """Raises InternalError for a value that is encrypted still."""
        if value.startswith(ENCRYPTED):
            raise _refusal(key, value)
        return Stored(self, key, self.tail(value, revision), revision)


class RawForm(Form):
    """How objects look before a webhook converts them: the tail is the stored value, in the version that it was written in."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource, {})

    def tail(self, value: bytes, revision: int) -> bytes:
        return value

    def same(self, other: Form) -> bool:
        return isinstance(other, RawForm)


class Stored:
    """An object at a revision. Decoded only when somebody asks: for selectors once, for listers for good."""

    __slots__ = ("form", "key", "namespace", "name", "tail", "revision", "_labels", "_fields", "_obj", "_views")

    def __init__(self, form: Form, key: str, tail: bytes, revision: int) -> None:
        self.form = form
        self.key = key
        self.tail = tail
        self.revision = revision
        self.namespace, _, self.name = key[len(form.prefix) :].rpartition("/")
        self._labels: Mapping[str, str] | None = None
        self._fields: Mapping[str, str] | None = None
        self._obj: Obj | None = None
        self._views: dict[bytes, bytes] | None = None

    @property
    def body(self) -> bytes:
        """The object's JSON."""
        return self.form.head + self.tail

    @property
    def labels(self) -> Mapping[str, str]:
        if self._labels is None:
            # Reads the labels only: a selector over all pods must not decode all pods.
            self._labels = _LABELS.decode(b"{" + self.tail).metadata.labels or _NONE
        return self._labels

    @property
    def fields(self) -> Mapping[str, str]:
        """Values of the selectable fields, metadata.name and metadata.namespace among them."""
        if self._fields is None:
            fields = {"metadata.name": self.name, "metadata.namespace": self.namespace}
            if self.form.selectable:
                obj = self.peek()
                fields.update((label, pick(obj)) for label, pick in self.form.selectable.items())
            self._fields = fields
        return self._fields

    @property
    def shared(self) -> Obj:
        """The decoded object, kept, without managedFields, which the server's own parts never look at. Never change it."""
        if self._obj is None:
            self._obj = self.decode()
            self._obj["metadata"].pop("managedFields", None)
        return self._obj

    def decode(self) -> Obj:
        """The object, decoded anew: the caller's own."""
        obj: Obj = orjson.loads(self.form.head + self.tail)
        return obj

    def peek(self) -> Obj:
        """The object for one look: not kept, maybe shared and without managedFields, never to be changed or shown."""
        return self.decode() if self._obj is None else self._obj

    def at(self, revision: int) -> Stored:
        """The same object with another resourceVersion: how a deletion shows the last state."""
        rest = self.tail[self.tail.index(b'"', len(_LEAD)) :]
        moved = Stored(self.form, self.key, b"%b%d%b" % (_LEAD, revision, rest), revision)
        moved._labels, moved._fields = self._labels, self._fields
        return moved

    def view(self, head: bytes, convert: Callable[[Obj], Obj]) -> bytes:
        """The tail in another served version, made once."""
        if self._views is None:
            self._views = {}
        found = self._views.get(head)
        if found is None:
            converted = convert(self.decode())
            value = encode(converted)
            cut = len(head) + len(b'"metadata":{')
            found = self._views[head] = b'%b%d",%b' % (_LEAD, self.revision, value[cut:])
        return found
