"""What expressions cost: charges.py while they run, estimate.py (with functions.py and ranges.py) before they ever do.

Source: cel-go interpreter/runtimecost.go, checker/cost.go; apiserver pkg/cel/library/cost.go.
"""
