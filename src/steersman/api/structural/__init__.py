"""Structural schemas: what a CustomResourceDefinition says of its objects, and what follows for every object written or read.

model.py (the schema, compiled) · pruning.py · defaulting.py · values.py with formats.py (validation) · lists.py (uniqueness) ·
embedded.py (metadata, embedded resources) · check.py, check_defaults.py (is the schema itself structural). All pure.
"""
