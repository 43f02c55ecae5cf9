"""Schema facts of the built-in kinds (design decision 3): v1.36.json, made by tools/build_schema.py, and its loader."""
