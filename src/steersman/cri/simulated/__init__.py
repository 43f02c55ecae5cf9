"""A runtime without processes, root or network: sandboxes and containers are records, what they do is Python.

`program.py` is what a container runs, `script.py` makes programs of command lines, `runtime.py` keeps the records, `images.py`
has every image. Thousands of nodes fit into one process: a container that only serves costs no task and no timer. Chosen in
cluster/; tests write programs of their own.
"""
