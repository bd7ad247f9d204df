"""A name that nothing else has."""

from __future__ import annotations

from collections.abc import Container


def free_name(wanted: str, taken: Container[str]) -> str:
    """Return `wanted`, or that with a number behind it where the name is taken."""
    name, k = wanted, 1
    while name in taken:
        k += 1
        name = f"{wanted}_{k}"
    return name


def take_free_name(wanted: str, taken: set[str]) -> str:
    """Do as `free_name` does, and add the name to those that are taken."""
    name = free_name(wanted, taken)
    taken.add(name)
    return name
