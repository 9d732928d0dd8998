"""Answers to multiple-choice questions: where an option is announced, which one a text names, and whether it is the right one.

`judging.py` walks the places of a text; `announcing.py` and `deciding.py` say which sentences count; `places.py` reads one place;
`reading.py`, `labels.py` and `options.py` know letters and option texts.
"""
