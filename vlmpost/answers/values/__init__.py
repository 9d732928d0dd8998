"""What an answer says, whatever it looks like: numbers, units, times, lists, intervals, formulas, words, and when two are one.

`equivalence.py` compares, cheapest first; `canonical.py` gives equal answers one form; the other modules each read one kind.
"""
