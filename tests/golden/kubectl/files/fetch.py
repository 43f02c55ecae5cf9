"""Prints what 127.0.0.1:$PORT answers to a GET of the path, as much as is the same everywhere."""

import os
import sys
import urllib.request

with urllib.request.urlopen(f"http://127.0.0.1:{os.environ['PORT']}{sys.argv[1]}", timeout=20) as answer:
    print(answer.status, answer.headers["Content-Type"], answer.read(12).decode())
