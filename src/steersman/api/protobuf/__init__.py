"""Kubernetes' protobuf wire form of built-in kinds: facts (which numbers), tables (compiled per definition), decoding, encoding.

Objects are the dicts of the JSON form on this side. Not here: content negotiation, defaults, checks of values.
"""
