"""Go's text/template over decoded JSON: what `-o go-template=` runs.

lexer.py cuts the text into tokens, parser.py makes nodes (nodes.py) of them, execute.py runs these, functions.py has the built-in
functions. Error texts name the same place in the template as Go's do.
Not here: methods and struct fields (JSON has none), `{{block}}`, complex numbers.
"""
