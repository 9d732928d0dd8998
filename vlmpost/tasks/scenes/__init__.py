"""Drawn worlds: landscapes, things that happen in time, rooms with exact depth. Each is a pure function of a seed and a size.

They are rich enough that a part of a picture can be placed: light falls off to one side, the sky is above the ground, shapes cross
the borders of tiles. Numbers of the drawing come from `random.Random` of the seed; no file, no font.
"""
