"""The lines that are known to come out differently, by the reason, which is a row of docs/kubectl.md."""

from __future__ import annotations

_BY_REASON = {
    "Each tells its own version.": ("kubectl version --client",),
    "Help is shorter than upstream's, with fewer examples.": (
        "kubectl config set", "kubectl create secret", "kubectl rollout",
    ),
    "Upstream tells of a flag that is required as a line of its log, with time and place.": (
        "kubectl create cronjob x --image=a", "kubectl create deploy x", "kubectl create svc externalname x",
        "kubectl run", "kubectl scale",
    ),
    "Not built.": (
        "kubectl apply -f two.yaml --prune", "kubectl apply -k .", "kubectl apply edit-last-applied", "kubectl auth reconcile",
    ),
    "Keys come sorted; upstream prints the fields of its Go types in their order, when the object was made by it.": (
        "kubectl create cm saved --from-literal=a=b --save-config -o jsonpath='{.metadata.annotations}'",
        "kubectl create secret generic x --from-literal=a=b --type=example.com/t --dry-run=client -o json",
    ),
    "Objects are shown as they are; upstream forgets fields that are younger than it and adds an empty creationTimestamp.": (
        "kubectl set image deploy/web web=x --dry-run=client -o yaml",
    ),
    "A server that can't be reached is always told in one sentence, and nothing is printed before it.": (
        "kubectl api-resources --server=https://127.0.0.1:1", "kubectl create cm x --server=https://127.0.0.1:1",
    ),
    "A path that is no JSONPath, or that no object has, is told; upstream says that nothing was found, or prints a header.": (
        "kubectl get pods --sort-by=.metadata.nothing", "kubectl get pods --sort-by=.metadata[",
        "kubectl get pods -o custom-columns=NAME:.metadata[",
    ),
    "What is neither an object nor YAML is told in the YAML reader's words.": (
        """echo '{"a":' | kubectl apply -f -""", "echo '[1, 2]' | kubectl apply -f -",
    ),
    "Several names can't be watched: ours says so before it prints them.": (
        "kubectl get pods gated another --watch --request-timeout=2s",
    ),
    "Ours streams over WebSocket only; upstream, when refused, tries SPDY and tells that refusal, of another verb.": (
        "kubectl exec talker -c one --as=ann -- true",
    ),
    "An emptied file ends the edit, as its first lines promise; upstream asks again.": (
        "KUBE_EDITOR='truncate -s 0' kubectl edit cm first",
    ),
    "One `---` between documents; upstream writes two.": ("kubectl run x --image=a --expose --port=80 --dry-run=client -o yaml",),
}  # fmt: skip

KNOWN = {line: reason for reason, lines in _BY_REASON.items() for line in lines}
