"""Errors in the words in which the command line prints them."""

from __future__ import annotations

import codecs
import sys

from minicaffe.errors import MinicaffeError, out_of_memory

LONGEST_LINE = 2000  # characters of an error message's line; of a longer one the middle is left out


def words(error: BaseException) -> str | None:
    """Return what to print of a user's error, "" where nothing is to be said; None for every other error."""
    # If memory ran out, say so first: the file that the message names is not to blame then.
    begin = "there is not enough memory: " if out_of_memory(error) else ""
    if isinstance(error, MinicaffeError):
        return begin + _readable(str(error))
    if isinstance(error, BrokenPipeError):  # the reader of our output, such as `head`, has ended
        return ""
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{begin}{place}{error.strerror or error}"
    if isinstance(error, UnicodeEncodeError) and _no_file_name(error):
        letters = error.object[error.start:error.end]
        return (f"{begin}no file can be called {error.object!r} here: the locale's encoding, {error.encoding}, has no "
                f"{letters!r}\n  hint: set LC_ALL=C.UTF-8 or PYTHONUTF8=1")
    return f"{begin}{error}".removesuffix(": ") if begin else None


def _no_file_name(error: UnicodeEncodeError) -> bool:
    """Return whether a text could not be encoded as a file name, rather than for an output stream."""
    return codecs.lookup(error.encoding) == codecs.lookup(sys.getfilesystemencoding())


def _readable(message: str) -> str:
    """Return the message without the middle of its longest lines: a name in a file may have a million characters."""
    return "\n".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE // 2]} … {line[-LONGEST_LINE // 2:]}"
                     for line in message.split("\n"))
