"""One module per verb; main.VERBS says which. How to write one: the package's docstring."""
