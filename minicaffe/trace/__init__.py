"""Watch a net compute: run it line by line, and write what happened into one HTML page."""

from minicaffe.trace.write import trace

__all__ = ["trace"]
