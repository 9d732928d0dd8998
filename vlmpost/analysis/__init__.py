"""Looks at finished answers: what they say and how, beside whether they are right."""
