"""Audit: who did what when, as events of audit.k8s.io/v1, as far as the policy wants to know.

settings.py (flags) · policy.py (the file, and what it says of a request) · event.py (parts of an event) · bodies.py (objects in
it) · trail.py (one request's events) · auditor.py (where the pipeline asks for a trail; put together) · logfile.py, queue.py,
webhook.py (where events go).
"""
