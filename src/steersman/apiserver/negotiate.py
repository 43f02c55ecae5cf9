"""Content negotiation: which form of an answer the Accept header asks for."""

from __future__ import annotations

from typing import NamedTuple

from steersman.api.protobuf import envelope
from steersman.apiserver.http import Request
from steersman.machinery.errors import NotAcceptable, UnsupportedMediaType
from steersman.machinery.gobooleans import parse_bool
from steersman.machinery.kept import kept

JSON, YAML, PROTOBUF = "application/json", "application/yaml", envelope.MEDIA_TYPE
_OFFERED = f"{JSON}, {YAML}, {PROTOBUF}"
_PRETTY_AGENTS = ("curl", "Wget", "Mozilla/5.0")
_TRANSFORMS = {
    "Table": ("v1", "v1beta1"),
    "PartialObjectMetadata": ("v1", "v1beta1"),
    "PartialObjectMetadataList": ("v1", "v1beta1"),
}


class Format(NamedTuple):
    """media_type is JSON, YAML or PROTOBUF; transform is empty, Table, PartialObjectMetadata or PartialObjectMetadataList."""

    media_type: str = JSON
    transform: str = ""
    version: str = ""

    @property
    def plain(self) -> bool:
        return not self.transform and self.media_type == JSON


PLAIN = Format()


def accepted(request: Request, *, transforms: bool = True) -> Format:
    """The form to answer in. JSON is what objects are kept as, so clients that take both get JSON. Raises NotAcceptable.

    `transforms`: whether what is answered has a Table and a metadata form at all.
    """
    accept = request.headers.get("accept", "")
    return PLAIN if accept == JSON or not accept else _negotiate(accept, transforms)


@kept(512)
def _negotiate(accept: str, transforms: bool) -> Format:
    clauses: list[tuple[float, Format]] = []
    knows_protobuf = False
    for clause in accept.split(","):
        media_type, *parameters = (part.strip() for part in clause.split(";"))
        values = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
        if media_type in ("*/*", "application/*"):
            media_type = JSON
        transform = values.get("as", "")
        knows_protobuf = knows_protobuf or (media_type == PROTOBUF and not transform)
        if media_type not in (JSON, YAML):
            continue
        known = transforms and values.get("v") in _TRANSFORMS.get(transform, ()) and values.get("g", "") == "meta.k8s.io"
        if transform and not (known and media_type == JSON):
            continue
        try:
            quality = float(values.get("q", "1"))
        except ValueError:
            quality = 0.0
        clauses.append((quality, Format(media_type, transform, values.get("v", "") if transform else "")))
    if not clauses and knows_protobuf:
        return Format(PROTOBUF)
    if not clauses:
        raise NotAcceptable(f"only the following media types are accepted: {_OFFERED}")
    return max(clauses, key=lambda found: found[0])[1]


def body_media_type(request: Request) -> str:
    """JSON, YAML or PROTOBUF, from Content-Type. Raises UnsupportedMediaType."""
    given = request.headers.get("content-type", JSON)
    if given == JSON or not given:
        return JSON
    media_type = given.split(";", 1)[0].strip().lower()
    if media_type in (JSON, YAML, "*/*"):
        return YAML if media_type == YAML else JSON
    if media_type == PROTOBUF:
        return PROTOBUF
    raise UnsupportedMediaType(f"the body of the request was in an unknown format - accepted media types include: {_OFFERED}")


def wants_pretty(request: Request) -> bool:
    """`?pretty=true`, or a person with curl and no word about it."""
    if request.raw_query:
        asked = request.query("pretty")
        if asked:
            try:
                return parse_bool(asked)
            except ValueError:
                return False
    agent = request.headers.get("user-agent", "")
    return agent.startswith(_PRETTY_AGENTS)
