"""API Priority and Fairness (KEP-1040): which request goes first when there are more than the server can serve at once.

Pure: rules.py (which FlowSchema a request matches), sharding.py (which queues a flow is dealt), queues.py (fair queues of one
priority level), shares.py (how many seats each level has, lends, borrows), estimate.py (how many seats a request needs),
retryafter.py, bootstrap.py (the objects every cluster has). With the rest of the server: configuration.py (from objects to
levels), maintenance.py (keeps those objects), control.py (what the pipeline asks), inflight.py (in its place, when it is off),
dump.py (debug pages), exposition.py (metrics).
"""
