"""What make.py writes with: layers as prototxt text, one after another, each reading what the one before put out."""

Fields = dict[str, object]

ONE_LINE = 100  # characters: a message that fits into them, and holds no other, stands on one line


class Word(str):
    """A value that prototxt writes without quotes, such as an enum's: MAX."""


class NetText:
    """The text of a net.

    at      name of the blob that the next layer reads, unless another is given
    common  fields that each layer gets beside its own
    """

    def __init__(self, name: str, *comment: str):
        self.lines = [*(f"# {line}" for line in comment), f'name: "{name}"']
        self.at = ""
        self.common: Fields = {}

    def comment(self, *lines: str) -> None:
        self.lines += ["", *(f"# {line}" for line in lines)]

    def layer(self, name: str, kind: str, bottom: str | list[str] = "", top: str | list[str] = "",
              **fields: object) -> str:
        """Add a layer, and return the name of its first top. It reads the last blob, and its top has its name."""
        bottoms, tops = _list(bottom or self.at), _list(top or name)
        head = {"name": name, "type": kind, "bottom": bottoms, "top": tops}
        self.lines += _message("layer", {**head, **self.common, **fields}, "")
        self.at = tops[0]
        return self.at

    def source(self, layer: Fields) -> None:
        """Add a layer without bottoms."""
        self.lines += _message("layer", layer, "")

    def in_place(self, name: str, kind: str, **fields: object) -> None:
        """Add a layer that overwrites the last blob."""
        self.layer(name, kind, top=self.at, **fields)

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def field_lines(fields: Fields, indent: str = "") -> list[str]:
    """Return the lines of a message's fields; a list among them is a repeated field."""
    lines = []
    for key, value in _pairs(fields):
        lines += _message(key, value, indent) if isinstance(value, dict) else [f"{indent}{key}: {_value(value)}"]
    return lines


def _message(name: str, fields: Fields, indent: str) -> list[str]:
    """Return the lines of a message."""
    pairs = _pairs(fields)
    if not any(isinstance(value, dict) for _, value in pairs):
        short = f"{indent}{name} {{ {' '.join(f'{key}: {_value(value)}' for key, value in pairs)} }}"
        if len(short) <= ONE_LINE:
            return [short]
    return [f"{indent}{name} {{", *field_lines(fields, indent + "  "), indent + "}"]


def _pairs(fields: Fields) -> list[tuple[str, object]]:
    return [(key, item) for key, value in fields.items() for item in (value if isinstance(value, list) else [value])]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, Word | int | float) else f'"{value}"'
