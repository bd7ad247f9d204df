"""Rules that report what the making of a net finds: errors, and fields without effect."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from minicaffe.lint.registry import DEFINITION, ERROR, FILE, WARNING, Finding, rule
from minicaffe.lint.subjects import Definition

UNREAD = "is set, but this layer does not read it"


@rule("unreadable", FILE)
def unreadable(file: object) -> Iterator[Finding]:
    """A file is missing, or it is neither a net nor a solver.

    The other files are examined nevertheless.

    Example
        layer { nmae: "conv1" type: "Convolution" }

    Cure
        Correct the line that is named.
    """
    return iter(())  # the files are read before there is anything for a rule to examine


@rule("broken-net", DEFINITION)
def broken_net(definition: Definition) -> Iterator[Finding]:
    """The net cannot be made: a layer refuses a field or the shape of a bottom, or its data cannot be read.

    minicaffe train ends with the same message before its first iteration.

    Example
        convolution_param { num_output: 16 }

        which lacks the kernel_size

    Cure
        Correct what the message names.
    """
    if definition.net is None and definition.error is not None:
        error = definition.error
        i = definition.index_of(error.message)
        yield Finding(ERROR, "" if i is None else definition.layers[i].name, error.where or definition.file,
                      error.message, error.hint or "correct what the message names")


@rule("unread-field", DEFINITION)
def unread_field(definition: Definition) -> Iterator[Finding]:
    """A layer has a parameter that it does not read.

    Caffe ignores it without a message. minicaffe refuses the net; --permissive makes that a warning.

    Example
        layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" pooling_param { kernel_size: 3 } }

    Cure
        Take the field out, or write it into the layer that should read it.
    """
    yield from _warned(definition, lambda text: UNREAD in text, ERROR,
                       "take the field out, or write it where it is read")


@rule("no-effect", DEFINITION)
def no_effect(definition: Definition) -> Iterator[Finding]:
    """A field is set but has no effect, or has one that is easily overlooked.

    Often the field only counts together with another one, which is missing.

    Example
        convolution_param { num_output: 16 kernel_size: 3 bias_term: false bias_filler { value: 1 } }

    Cure
        Take the field out, or set the other field that it needs.
    """
    # A net that is only used does not need any filler, and a filler does no harm there.
    yield from _warned(definition, lambda text: UNREAD not in text and text not in definition.about_sources
                       and (definition.trains or "filler" not in text),
                       WARNING, "take the field out, or set what it needs to count")


@rule("odd-source", DEFINITION)
def odd_source(definition: Definition) -> Iterator[Finding]:
    """A data layer found something in its source that may not be meant.

    It leaves files out that are no images, has one class folder only, or reads images class by class.

    Example
        image_data_param { source: "photos" } where photos/ holds the folders train/ and test/, which are no classes

    Cure
        Look at the source: minicaffe data SOURCE says what is in it.
    """
    yield from _warned(definition, lambda text: text in definition.about_sources, WARNING,
                       "look whether it is meant: minicaffe data SOURCE says what is in a source")


def _warned(definition: Definition, chosen: Callable[[str], bool], severity: str, cure: str) -> Iterator[Finding]:
    """Make findings of what was warned of while the net was made: one for all layers of which the same was said."""
    _ = definition.net  # making it is what warns
    alike: dict[str, list[str]] = {}
    cures: dict[str, str] = {}
    for message in dict.fromkeys(definition.warnings):
        text, _, hint = message.partition("\n")
        if chosen(text):
            cures[text] = hint or cure
            alike.setdefault(re.sub(r"^layer (['\"]).*?\1", "", text), []).append(text)
    for texts in alike.values():
        more = f" (and so for {len(texts) - 1} more layers)" if texts[1:] else ""
        yield definition.found(severity, definition.index_of(texts[0]), texts[0] + more, cures[texts[0]])
