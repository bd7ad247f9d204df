"""Old names of a layer's attributes, which still work and warn."""

from __future__ import annotations

import warnings
from typing import Any


class Renamed:
    """An attribute's old name. Reading or setting it reads or sets the attribute under its new name, and warns."""

    def __init__(self, new: str) -> None:
        self.new = new

    def __set_name__(self, owner: type, name: str) -> None:
        self.old = name

    def __get__(self, layer: Any, owner: type) -> Any:
        self.warn(owner)
        return getattr(owner if layer is None else layer, self.new)

    def __set__(self, layer: Any, value: Any) -> None:
        self.warn(type(layer))
        setattr(layer, self.new, value)

    def warn(self, owner: type) -> None:
        """Warn at the line that uses the old name, or at the class that declares it."""
        warnings.warn(f"{owner.__name__}: the attribute {self.old} is now called {self.new}", DeprecationWarning,
                      stacklevel=3)


class OldNames:
    """The attributes of a Layer that had other names."""

    replays = Renamed("recordable")
    plans_scratch = Renamed("awaits_scratch")
    weights_follow = Renamed("awaits_weights")

    def __init_subclass__(cls) -> None:
        """Rename each attribute that a class declares under its old name."""
        for old, renamed in vars(OldNames).items():
            if isinstance(renamed, Renamed) and old in cls.__dict__:
                renamed.warn(cls)
                setattr(cls, renamed.new, cls.__dict__[old])
                delattr(cls, old)  # or it would hide the attribute that reads the new name
        super().__init_subclass__()
