"""From a CustomResourceDefinition to the KindSpecs of its versions: custom resources take the path of every kind (decision 1).

specs.py puts them together · strategy.py (what a write does) · reading.py (what stored objects become) · table.py (columns) ·
fields.py (selectable fields) · scale.py · openapi.py · naming.py, status.py (names and conditions of the definition). All pure.
"""
