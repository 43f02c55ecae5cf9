"""JSONPath in Kubernetes' dialect.

parse.py reads a template, evaluate.py looks at objects, path.py is the API's form of it: one path, no text around. kubectl prints
and sorts with it (`-o jsonpath=`, custom columns, `--sort-by`, `wait --for=jsonpath=`); custom resources name their columns,
scale fields and selectable fields by it. Source: upstream's client-go/util/jsonpath.
"""
