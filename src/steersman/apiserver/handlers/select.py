"""From list and watch options to a Selection: selectors parsed, field labels checked against the kind."""

from __future__ import annotations

from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers.options import ListOptions
from steersman.apiserver.registry import Served
from steersman.apiserver.watchcache.selection import Selection
from steersman.machinery import fields, labeltext
from steersman.machinery.errors import BadRequest


def selection(call: Call, served: Served, options: ListOptions) -> Selection:
    """Raises BadRequest for selectors that do not parse or ask for unknown fields."""
    namespace = call.info.namespace if served.resource.namespaced else ""
    if not options.label_selector and not options.field_selector:
        return Selection(namespace)
    name = ""
    by_label = by_field = None
    try:
        if options.label_selector:
            by_label = labeltext.parse(options.label_selector)
        if options.field_selector:
            by_field = fields.parse(options.field_selector)
    except ValueError as fault:
        raise BadRequest(str(fault)) from fault
    if by_label is not None and by_label.empty:
        by_label = None
    if by_field is not None:
        name, by_field = _checked(served, by_field)
    return Selection(namespace, name, by_label, by_field)


def _checked(served: Served, selector: fields.FieldSelector) -> tuple[str, fields.FieldSelector | None]:
    """(the one name asked for, what else must hold)."""
    known = served.spec.selectable
    name, rest = "", []
    for label, op, value in selector.requirements:
        if label == "metadata.name":
            if op == "=" and value and not name:
                name = value
                continue
        elif label == "metadata.namespace":
            if not served.resource.namespaced and served.spec.strict_field_message:
                raise BadRequest(served.spec.unknown_field.format(label))
        elif label not in known:
            if served.spec.strict_field_message:
                raise BadRequest(served.spec.unknown_field.format(label))
            raise BadRequest(f'"{label}" is not a known field selector: only "metadata.name", "metadata.namespace"')
        rest.append((label, op, value))
    return name, fields.FieldSelector(tuple(rest)) if rest else None
