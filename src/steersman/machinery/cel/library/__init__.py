"""The functions that expressions may call, one module per library, each a tuple of overloads. ALL is what Kubernetes has.

standard.py, conversions.py, times.py are the language's own; strings, lists, sets, optionals, comprehensions are cel-go's
extensions; the rest Kubernetes'. Not here: authorizer, which needs a server, and jsonpatch.
"""
