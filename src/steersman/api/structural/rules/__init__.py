"""x-kubernetes-validations: rules in CEL that a structural schema has for its values.

naming.py (properties as CEL spells them) · declare.py (schemas as types) · convert.py (JSON as values) · compiled.py (the rules
of one level) · fieldpath.py · check.py (may a definition have them) · evaluate.py (does an object satisfy them). The language
itself is machinery/cel.
"""
