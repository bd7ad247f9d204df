"""Insert splits: put a Split behind each top that has several readers, so that their diffs are summed."""


def insert_splits(layers):
    """Return a new list of definitions of layers, with Splits; `layers` and what is in it stay as they are.

    A definition is a dict as parse gives it, and so is that of a Split:

        {"name": ["h_act_0_split"], "type": ["Split"], "bottom": ["h"], "top": ["h_act_0_split_0", "h_act_0_split_1"]}

    Raise ValueError, with the names of the layer and of the blob, for a bottom that no layer before has made.
    """
    raise NotImplementedError
