"""Connections that carry more than a request and its answer: exec, attach, cp, port-forward.

upgrade.py makes an HTTP connection another protocol's, websocket.py frames messages, remotecommand.py runs a command over them,
terminal.py is the person's side of it, portforward.py forwards connections over SPDY.
"""
