"""From a query to an answer: what the zone knows, or None for what must be asked upstream. Pure, on dnslib messages."""

from __future__ import annotations

import random
from typing import Any

from dnslib import CNAME, PTR, QTYPE, RCODE, RR, SOA, SRV, TXT, A, DNSRecord

from steersman.dns.zone import Zone

TTL_S = 5
_MAX_CNAMES = 8


def answer(zone: Zone, query: Any) -> Any | None:
    """The reply to a query about the cluster's names, None if the name is not ours.

    An ExternalName answer may end in a CNAME out of the zone (`open_end`): the server completes it upstream.
    """
    name = str(query.q.qname).rstrip(".").lower()
    kind = QTYPE[query.q.qtype]
    reverse = name in zone.ptr
    if not reverse and name != zone.domain and not name.endswith("." + zone.domain):
        return None
    reply = query.reply()
    reply.header.ra = 1
    reply.header.aa = 1
    if reverse:
        if kind in ("PTR", "ANY"):
            for target in zone.ptr[name]:
                reply.add_answer(RR(query.q.qname, QTYPE.PTR, rdata=PTR(target), ttl=TTL_S))
        return reply
    _resolve(zone, reply, name, kind)
    if not reply.rr:
        if not zone.exists(name) and not zone.pod_address(name):
            reply.header.rcode = RCODE.NXDOMAIN
        reply.add_auth(_soa(zone))
    return reply


def _resolve(zone: Zone, reply: Any, name: str, kind: str) -> None:
    owner = reply.q.qname
    for _ in range(_MAX_CNAMES):
        target = zone.cname.get(name)
        if target is None:
            break
        reply.add_answer(RR(owner, QTYPE.CNAME, rdata=CNAME(target), ttl=TTL_S))
        owner = name = target
    if kind in ("A", "ANY"):
        addresses = list(zone.a.get(name, ()))
        if not addresses and (pod := zone.pod_address(name)):
            addresses = [pod]
        random.shuffle(addresses)
        for ip in addresses:
            reply.add_answer(RR(owner, QTYPE.A, rdata=A(ip), ttl=TTL_S))
    if kind in ("SRV", "ANY"):
        records = zone.srv.get(name, ())
        for record in records:
            data = SRV(0, 100 // len(records), record.port, record.target)
            reply.add_answer(RR(owner, QTYPE.SRV, rdata=data, ttl=TTL_S))
        for target in dict.fromkeys(record.target for record in records):
            for ip in zone.a.get(target, ()):
                reply.add_ar(RR(target, QTYPE.A, rdata=A(ip), ttl=TTL_S))
    if kind in ("TXT", "ANY") and name in zone.txt:
        reply.add_answer(RR(owner, QTYPE.TXT, rdata=TXT(zone.txt[name]), ttl=TTL_S))
    if kind in ("SOA", "ANY") and name == zone.domain:
        reply.add_answer(_soa(zone))


def open_end(zone: Zone, reply: Any) -> str:
    """The name outside of the zone that an answer ends in, '' if there is none or nobody asked where it leads."""
    if not reply.rr or reply.rr[-1].rtype != QTYPE.CNAME or reply.q.qtype in (QTYPE.CNAME, QTYPE.ANY):
        return ""
    target = str(reply.rr[-1].rdata.label).rstrip(".").lower()
    return "" if target == zone.domain or target.endswith("." + zone.domain) else target


def question(name: str, kind: int) -> bytes:
    """A query about a name, with a random id."""
    return bytes(DNSRecord.question(name, QTYPE[kind]).pack())


def completed(reply: Any, theirs: bytes) -> Any:
    """The answer with what somebody else says of the name it ends in."""
    try:
        found = DNSRecord.parse(theirs).rr
    except Exception:  # dnslib raises many kinds on malformed bytes
        return reply
    reply.add_answer(*found)
    return reply


def _soa(zone: Zone) -> Any:
    data = SOA(f"ns.dns.{zone.domain}", f"hostmaster.{zone.domain}", (1, 7200, 1800, 86400, TTL_S))
    return RR(zone.domain, QTYPE.SOA, rdata=data, ttl=TTL_S)


def failure(query: Any, code: str) -> bytes:
    """A reply that only says why there is none: SERVFAIL, NOTIMP, REFUSED."""
    reply = query.reply()
    reply.header.ra = 1
    reply.header.rcode = getattr(RCODE, code)
    return bytes(reply.pack())


def fitted(reply: Any, limit: int) -> bytes:
    """Packed; beyond the limit of a datagram an empty truncated reply, so that the client comes again by TCP."""
    packed = bytes(reply.pack())
    return packed if len(packed) <= limit else bytes(reply.truncate().pack())


def datagram_limit(query: Any) -> int:
    """What the client takes in one datagram: 512 bytes, or what its EDNS record says."""
    sizes = [record.rclass for record in query.ar if record.rtype == QTYPE.OPT]
    return max(512, min(4096, *sizes)) if sizes else 512


def parse(data: bytes) -> Any | None:
    """The query, None if the bytes are none."""
    try:
        query = DNSRecord.parse(data)
        return query if query.header.qr == 0 and query.questions else None
    except Exception:  # dnslib raises many kinds on malformed bytes
        return None
