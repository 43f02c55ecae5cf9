"""Certificate signing requests: what is approved for whom, what is signed and for how long, what goes when."""

from __future__ import annotations

from base64 import b64decode
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from tests.fakes.requests import csr, pem
from tests.unit.controllers.world import START, World

from steersman.api.resources import CERTIFICATE_SIGNING_REQUESTS as REQUESTS
from steersman.api.resources import ENDPOINT_SLICES, NODES, SERVICES, SUBJECT_ACCESS_REVIEWS
from steersman.cluster import pki
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.cluster.signing import FileSigner
from steersman.controllers import certificates
from steersman.controllers.certificates import approving, cleaning
from steersman.controllers.certificates.requests import CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN
from steersman.loop.spec import Action, Create
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import Forbidden
from steersman.machinery.meta import Obj, condition, dig, format_time, is_condition_true

NODE = "system:node:n1"
NODES_GROUP = ("system:nodes",)
CLIENT_PEM = pem(NODE, NODES_GROUP)
SERVING_PEM = pem(NODE, NODES_GROUP, ["n1"], ["10.0.0.5"])


class Judged(World):
    """SubjectAccessReviews allow those subresources to anybody."""

    def __init__(self, *allowed: str) -> None:
        super().__init__(approving.SPEC)
        self.allowed = allowed
        self.asked: list[Obj] = []
        node = {"addresses": [{"type": "InternalIP", "address": "10.0.0.5"}, {"type": "Hostname", "address": "n1"}]}
        self.put(NODES, {"metadata": {"name": "n1"}, "status": node})

    def _create(self, action: Create) -> Obj:
        if action.resource != SUBJECT_ACCESS_REVIEWS:
            return super()._create(action)
        self.asked.append(action.obj["spec"])
        return {"status": {"allowed": action.obj["spec"]["resourceAttributes"]["subresource"] in self.allowed}}

    def judge(self, request: Obj) -> str:
        """The message of approval, empty if there is none."""
        self.put(REQUESTS, request)
        self.settle()
        found = condition(dig(self.get(REQUESTS, "", "csr-1"), "status", "conditions"), "Approved")
        assert found is None or (found["status"], found["reason"]) == ("True", "AutoApproved")
        return str(found["message"]) if found else ""


BY_OTHERS = "Auto approving kubelet client certificate after SubjectAccessReview."
BY_ITSELF = "Auto approving self kubelet client certificate after SubjectAccessReview."
SERVING = "Auto approving self kubelet serving certificate after SubjectAccessReview."


@pytest.mark.parametrize(
    ("case", "request_", "allowed", "message"),
    [
        ("a token's holder asks for a node", csr(KUBELET_CLIENT, CLIENT_PEM, username="t"), "nodeclient", BY_OTHERS),
        ("a node asks for itself", csr(KUBELET_CLIENT, CLIENT_PEM, username=NODE), "selfnodeclient", BY_ITSELF),
        ("others are not itself", csr(KUBELET_CLIENT, CLIENT_PEM, username="t"), "selfnodeclient", ""),
        ("without permission", csr(KUBELET_CLIENT, CLIENT_PEM, username="t"), "none", ""),
        ("for another signer", csr(CLIENT, CLIENT_PEM, username="t"), "nodeclient", ""),
        ("with a name besides", csr(KUBELET_CLIENT, pem(NODE, NODES_GROUP, ["a"]), username="t"), "nodeclient", ""),
        ("in another group", csr(KUBELET_CLIENT, pem(NODE, ("system:masters",)), username="t"), "nodeclient", ""),
        ("no node's name", csr(KUBELET_CLIENT, pem("admin", NODES_GROUP), username="t"), "nodeclient", ""),
        (
            "with another purpose",
            csr(KUBELET_CLIENT, CLIENT_PEM, purpose="server auth", username="t"),
            "nodeclient",
            "",
        ),
        (
            "without key encipherment",
            csr(KUBELET_CLIENT, CLIENT_PEM, usages=["client auth", "digital signature"], username="t"),
            "nodeclient",
            BY_OTHERS,
        ),
        ("unreadable", csr(KUBELET_CLIENT, b"-----", username="t"), "nodeclient", ""),
        ("a node serves", csr(KUBELET_SERVING, SERVING_PEM, purpose="server auth", username=NODE), "selfnodeserver", SERVING),
        ("not allowed", csr(KUBELET_SERVING, SERVING_PEM, purpose="server auth", username=NODE), "nodeclient", ""),
        ("another asks", csr(KUBELET_SERVING, SERVING_PEM, purpose="server auth", username="x"), "selfnodeserver", ""),
    ],
)
def test_certificates_of_nodes_are_approved_for_who_may_have_them(case: str, request_: Obj, allowed: str, message: str) -> None:
    world = Judged(allowed)
    assert world.judge(request_) == message, case


def test_the_review_asks_about_the_requester() -> None:
    world = Judged("nodeclient")
    world.judge(csr(KUBELET_CLIENT, CLIENT_PEM, username="t", uid="u", groups=["g"], extra={"k": ["v"]}))
    attributes = {"group": "certificates.k8s.io", "version": "*", "resource": "certificatesigningrequests", "verb": "create"}
    wanted = {"user": "t", "uid": "u", "groups": ["g"], "extra": {"k": ["v"]}}
    assert world.asked == [{"resourceAttributes": {**attributes, "subresource": "nodeclient"}, **wanted}]


def test_rights_that_come_later_are_seen() -> None:
    world = Judged()
    assert world.judge(csr(KUBELET_CLIENT, CLIENT_PEM, username="t")) == ""
    world.allowed = ("nodeclient",)
    world.advance(60)
    world.settle()
    assert is_condition_true(world.objects[REQUESTS]["", "csr-1"]["status"]["conditions"], "Approved")


@pytest.mark.parametrize(
    ("case", "names", "addresses", "others", "fine"),
    [
        ("its own", ["n1"], ["10.0.0.5"], (), True),
        ("its name alone", ["n1"], [], (), True),
        ("another name", ["n1", "n2"], ["10.0.0.5"], (), False),
        ("an address it does not show", ["n1"], ["10.0.0.6"], (), False),
        ("loopback", ["n1"], ["127.0.0.1"], (), False),
        (
            "another node's address",
            ["n1"],
            ["10.0.0.5"],
            ((NODES, {"metadata": {"name": "n2"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.5"}]}}),),
            False,
        ),
        (
            "a service's address",
            ["n1"],
            ["10.0.0.5"],
            ((SERVICES, {"metadata": {"name": "s"}, "spec": {"clusterIPs": ["10.0.0.5"]}}),),
            False,
        ),
        (
            "the API server's address",
            ["n1"],
            ["10.0.0.5"],
            (
                (
                    ENDPOINT_SLICES,
                    {
                        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
                        "endpoints": [{"addresses": ["10.0.0.5"]}],
                    },
                ),
            ),
            False,
        ),
    ],
)
def test_a_node_serves_under_its_own_name_and_addresses_only(
    case: str, names: list[str], addresses: list[str], others: tuple[Any, ...], fine: bool
) -> None:
    world = Judged("selfnodeserver")
    for resource, obj in others:
        world.put(resource, obj)
    request = csr(KUBELET_SERVING, pem(NODE, NODES_GROUP, names, addresses), purpose="server auth", username=NODE)
    assert bool(world.judge(request)) is fine, case


@pytest.mark.parametrize("name", ["kubernetes", "kubernetes.default.svc", "db.shop.svc", "localhost"])
def test_a_node_with_the_name_of_a_service_gets_no_serving_certificate(name: str) -> None:
    world = Judged("selfnodeserver")
    world.put(NODES, {"metadata": {"name": name}})
    user = f"system:node:{name}"
    request = csr(KUBELET_SERVING, pem(user, NODES_GROUP, [name]), purpose="server auth", username=user)
    assert world.judge(request) == ""


# --- signing -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    """The CA that `up` makes, ten years from the world's start."""
    paths = Paths(tmp_path_factory.mktemp("cluster"))
    pki.ensure(paths, ClusterSettings(node_name="n", advertise_address="10.0.0.1"), VirtualClock(START))
    return FileSigner(paths.pki / "ca.crt", paths.pki / "ca.key")


def signed(signer: FileSigner, request: Obj, *, approve: bool = True, days: int = 0) -> Obj:
    """The request's status after the signer has seen it."""
    world = World(certificates.signing(signer))
    world.now += timedelta(days=days)
    if approve:
        request = request | {"status": {"conditions": [{"type": "Approved", "status": "True"}]}}
    world.put(REQUESTS, request)
    world.settle()
    status: Obj = world.objects[REQUESTS]["", "csr-1"].get("status") or {}
    return status


def certificate_of(status: Obj) -> x509.Certificate:
    return x509.load_pem_x509_certificate(b64decode(status["certificate"]))


def test_a_signed_certificate_is_what_was_asked_for(signer: FileSigner) -> None:
    made = certificate_of(signed(signer, csr(KUBELET_SERVING, SERVING_PEM, purpose="server auth")))
    assert made.subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.5"]
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.key_encipherment and not usage.key_cert_sign
    purposes = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    ca = x509.load_pem_x509_certificate(signer._certificate.read_bytes())
    made.verify_directly_issued_by(ca)


def test_signing_the_same_request_again_gives_the_same_certificate(signer: FileSigner) -> None:
    request = csr(CLIENT, pem("someone"))
    request["metadata"]["uid"] = "u-1"
    assert signed(signer, request) == signed(signer, request)
    other = signed(signer, request | {"metadata": {"name": "csr-1", "uid": "u-2"}})
    assert certificate_of(other).serial_number != certificate_of(signed(signer, request)).serial_number


@pytest.mark.parametrize(
    ("seconds", "days", "life"),
    [
        (None, 0, timedelta(days=365)),  # five minutes of it are in the past
        (600, 0, timedelta(minutes=15)),  # short ones lose nothing to that
        (7200, 0, timedelta(hours=2, minutes=5)),
        (86400, 0, timedelta(days=1)),
        (10 * 365 * 86400, 0, timedelta(days=365)),
        (None, 3640, timedelta(days=10, minutes=5)),  # the CA ends first
    ],
)
def test_lifetimes(signer: FileSigner, seconds: int | None, days: int, life: timedelta) -> None:
    made = certificate_of(signed(signer, csr(CLIENT, pem("someone"), seconds=seconds), days=days))
    assert made.not_valid_before_utc == START + timedelta(days=days) - timedelta(minutes=5)
    assert made.not_valid_after_utc - made.not_valid_before_utc == life


@pytest.mark.parametrize(
    ("case", "request_", "message"),
    [
        ("no client", csr(CLIENT, pem("x"), purpose="server auth"), "usages did not match"),
        ("more than a client", csr(CLIENT, pem("x"), usages=["client auth", "cert sign"]), "usages did not match"),
        ("no node", csr(KUBELET_CLIENT, pem("x")), "subject organization is not system:nodes"),
        ("no name", csr(KUBELET_SERVING, CLIENT_PEM, purpose="server auth"), "DNS or IP subjectAltName is required"),
        ("broken", csr(CLIENT, b"-----"), "PEM block type must be CERTIFICATE REQUEST"),
    ],
)
def test_what_a_signer_may_not_sign_has_failed(signer: FileSigner, case: str, request_: Obj, message: str) -> None:
    status = signed(signer, request_)
    failed = condition(status["conditions"], "Failed")
    assert failed is not None and failed["reason"] == "SignerValidationFailure" and message in failed["message"], case
    assert "certificate" not in status


def test_a_ca_that_has_ended_signs_nothing(signer: FileSigner) -> None:
    failed = condition(signed(signer, csr(CLIENT, pem("x")), days=3651)["conditions"], "Failed")
    assert failed is not None and "the signer has expired" in failed["message"]


@pytest.mark.parametrize(
    ("case", "request_", "approve"),
    [
        ("not approved", csr(CLIENT, pem("x")), False),
        ("somebody else's signer", csr("example.com/mine", pem("x")), True),
    ],
)
def test_what_is_not_its_matter_the_signer_leaves_alone(signer: FileSigner, case: str, request_: Obj, approve: bool) -> None:
    status = signed(signer, request_, approve=approve)
    assert "certificate" not in status and condition(status.get("conditions") or [], "Failed") is None, case


def test_requests_of_the_old_api_are_signed_as_they_are(signer: FileSigner) -> None:
    made = certificate_of(signed(signer, csr(LEGACY_UNKNOWN, pem("x", names=["x.example"]), usages=["any", "s/mime"])))
    assert len(list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)) == 2


# --- cleaning ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "kinds", "issued", "hours", "gone"),
    [
        ("pending", (), False, 24, False),
        ("long pending", (), False, 24.1, True),
        ("approved, unsigned", ("Approved",), False, 2, False),
        ("approved, never signed", ("Approved",), False, 24.1, True),
        ("issued", ("Approved",), True, 0.9, False),
        ("long issued", ("Approved",), True, 1.1, True),
        ("denied", ("Denied",), False, 0.9, False),
        ("long denied", ("Denied",), False, 1.1, True),
        ("long failed", ("Approved", "Failed"), False, 1.1, True),
    ],
)
def test_requests_go_when_nobody_needs_them(case: str, kinds: tuple[str, ...], issued: bool, hours: float, gone: bool) -> None:
    world = World(cleaning.SPEC)
    moment = format_time(world.now)
    status: Obj = {"conditions": [{"type": kind, "status": "True", "lastUpdateTime": moment} for kind in kinds]}
    if issued:
        status["certificate"] = "bm90IGEgY2VydGlmaWNhdGU="
    world.put(REQUESTS, csr(CLIENT, b"x") | {"status": status})
    world.advance(hours * 3600)
    world.settle()
    assert (world.get(REQUESTS, "", "csr-1") is None) is gone, case


def test_an_expired_certificate_takes_its_request_along(signer: FileSigner) -> None:
    status = signed(signer, csr(CLIENT, pem("x"), seconds=600))
    world = World(cleaning.SPEC)
    world.put(REQUESTS, csr(CLIENT, pem("x")) | {"status": status})
    for seconds, there in ((500, True), (200, False)):
        world.advance(seconds)
        world.settle()
        assert (world.get(REQUESTS, "", "csr-1") is not None) is there


def test_a_refused_approval_is_tried_again() -> None:
    world = Judged("nodeclient")

    def refuse(_: Action) -> Exception | None:
        return Forbidden.of("", "certificatesigningrequests", "csr-1", "no") if world.asked else None

    world.fault = refuse
    assert world.judge(csr(KUBELET_CLIENT, CLIENT_PEM, username="t")) == ""
    world.fault = lambda _: None
    world.advance(1)
    world.settle()
    assert is_condition_true(world.objects[REQUESTS]["", "csr-1"]["status"]["conditions"], "Approved")
