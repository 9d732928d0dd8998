"""What runs in the process that compares formulas, where a run-away comparison can be killed.

`serve.py` is the process, `rules.py` the table of its rules; every other module holds rules and may import sympy at its top.
Outside that process nothing here is imported but the table.
"""
