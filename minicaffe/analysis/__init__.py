"""Analyse a net without running it: its cost, its memory, the bytes that it moves."""
