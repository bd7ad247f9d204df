"""Attributes that a script may read and not replace: those that are read-only properties in Caffe."""

from typing import Any, ClassVar


class FixedNames:
    """Raises AttributeError where one of the attributes `fixed` is assigned after `_complete` has become true.

    The net or the solver would run on with what it had before.
    """

    fixed: ClassVar[dict[str, str]]  # name -> what to write instead
    _complete = False

    def __setattr__(self, name: str, value: Any) -> None:
        if self._complete and name in self.fixed:
            raise AttributeError(f"{type(self).__name__}.{name} cannot be replaced: {self.fixed[name]}")
        super().__setattr__(name, value)
