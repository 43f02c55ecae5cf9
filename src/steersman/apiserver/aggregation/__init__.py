"""Group-versions that other servers serve (apiregistration.k8s.io): told apart here, passed on, and watched for being there.

APIServices ──▶ aggregator.py (follows them) ──▶ remote.py (passes requests on) ──▶ the service's server
                     │ availability.py: is there a service, are there endpoints, does anybody answer ──▶ condition Available
                     └ automatic.py: an APIService for each group-version that this server serves itself
Discovery and OpenAPI (documents.py) take in what the other servers say of themselves.
"""
