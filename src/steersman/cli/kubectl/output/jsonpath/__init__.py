"""kubectl's JSONPath: `-o jsonpath=`, custom columns, `--sort-by`, `wait --for=jsonpath=`.

parse.py reads a template, evaluate.py looks at objects; the printers are in output/paths.py.
"""
