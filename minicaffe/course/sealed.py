"""Answers that can be read only by who gives them: a place opens its own text, and no other.

The file has a text for each place that is known. Its name is a digest of the place, and the text is masked with bytes
that follow from the place as well. So nobody reads an answer by accident. Who wants to try out all places by a program
can do so, and learns nothing from it.
"""

from __future__ import annotations

import base64
import hashlib

SALT = "minicaffe course bug"


def name_of(place: str) -> str:
    """Return the name under which the text of a place is stored."""
    return hashlib.sha256(f"{SALT}, name of {place}".encode()).hexdigest()[:16]


def seal(answers: dict[str, str]) -> dict[str, str]:
    """Return the stored form of answers: place -> text."""
    sealed = {name_of(place): base64.b64encode(_masked(place, text.encode())).decode()
              for place, text in answers.items()}
    return dict(sorted(sealed.items()))  # the order tells nothing


def open_with(place: str, sealed: dict[str, str]) -> str:
    """Return the text that a place opens; '' where there is none."""
    stored = sealed.get(name_of(place), "")
    return _masked(place, base64.b64decode(stored)).decode()


def _masked(place: str, text: bytes) -> bytes:
    """Mask a text with bytes that follow from the place. To do it twice gives the text back."""
    mask = hashlib.shake_256(f"{SALT}, mask of {place}".encode()).digest(len(text))
    return bytes(a ^ b for a, b in zip(text, mask, strict=True))
