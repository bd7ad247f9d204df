"""The other file of a snapshot: weights and state stand side by side under one name."""

from minicaffe.proto.wrong_file import sibling

__all__ = ["sibling"]
