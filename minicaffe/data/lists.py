"""Text files that list other files, one a line, and the files that they list."""

from __future__ import annotations

import os
from pathlib import Path

from minicaffe.errors import DataError
from minicaffe.io.files import looked_in, missing_hint, refuse_device


def read_list(path: str, what: str) -> list[tuple[int, str]]:
    """Return the number and the text of each line of a text file, without blank lines.

    The file may begin with a byte order mark, as Windows' programs write it, and its lines may end as on any system.
    Raise DataError where it cannot be read; `what` is what the message calls the file.
    """
    refuse_device(path)
    try:
        with open(path, encoding="utf-8-sig") as lines:
            return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    except OSError as error:
        hint = looked_in(path) if isinstance(error, FileNotFoundError) else \
            "source names a text file, not a folder" if isinstance(error, IsADirectoryError) else ""
        raise DataError(f"cannot read {what} {path}: {error.strerror or error}", hint=hint) from error
    except UnicodeDecodeError as error:
        utf_16 = error.object[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise DataError(f"cannot read {what} {path}: {error}", hint="it is UTF-16, as Windows' PowerShell writes: save "
                        "it as UTF-8" if utf_16 else f"{what} must be a text file in UTF-8") from error


def read_listed(path: str, where: str, root: str = "") -> bytes:
    """Return the content of the file root + path. Raise DataError where it cannot be read.

    `where` (LIST:LINE) is the line of the list that names it.
    """
    refuse_device(root + path)
    try:
        return Path(root + path).read_bytes()
    except (OSError, ValueError) as error:
        raise listed_file_error(path, where, error, root) from error


def listed_file_error(path: str, where: str, error: Exception, root: str = "") -> DataError:
    """The error for a file that a list names and that cannot be opened; the hint is about the mistake that fits."""
    name, listed_in = root + path, where.rpartition(":")[0]
    if not isinstance(error, FileNotFoundError):
        return DataError(f"cannot read {name}, which the list {listed_in} names: "
                         f"{getattr(error, 'strerror', None) or error}", where=where)
    given, beside = Path(name), Path(listed_in).parent / path
    searched = "" if given.is_absolute() else f" (looked for in {Path.cwd()})"
    if root and os.path.exists(os.path.join(root, path)):
        hint = f"root_folder is put before each path as it is: end it with a slash, '{root}/'"
    elif "\\" in name and os.path.exists(name.replace("\\", "/")):
        hint = "write / instead of \\"
    elif searched and os.path.exists(beside):
        hint = f"paths in a list count from the folder in which minicaffe is started, and the file is {beside} here"
    else:
        hint = missing_hint(given)
    if searched and not hint:
        hint = "paths in a list count from the folder in which minicaffe is started, not from the list's"
    return DataError(f"there is no file {name}, which the list {listed_in} names{searched}", where=where, hint=hint)
