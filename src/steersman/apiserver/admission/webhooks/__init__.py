"""Mutating- and ValidatingWebhookConfiguration, enforced: others are asked over HTTPS what they think of a request.

plugins.py      the two plugins; all else is imported with the first configuration
configured.py   what is configured, made ready for matching         calling.py      which a request meets, asking, what goes wrong
review.py       AdmissionReview: the question, and the answer
mutating.py     one after the other, JSON patches, reinvocation     validating.py   all at once
counts.py       metrics
Rules and selectors are in ../matching.py, match conditions those of ../policies; connections in apiserver/hookclient.py.
"""

from steersman.apiserver.admission.webhooks.plugins import MutatingWebhooks, ValidatingWebhooks, close, collect

__all__ = ["MutatingWebhooks", "ValidatingWebhooks", "close", "collect"]
