"""Insert splits: put a Split behind each top that has several readers, so that their diffs are summed."""


def insert_splits(layers):
    new_names, splits = {}, {}
    for (i, k), readers in readers_of_tops(layers).items():
        if len(readers) > 1:
            blob, maker = layers[i]["top"][k], layers[i]["name"][0]
            name = f"{blob}_{maker}_{k}_split"
            tops = [f"{name}_{n}" for n in range(len(readers))]
            new_names.update(zip(readers, tops, strict=True))
            splits.setdefault(i, {})[k] = {"name": [name], "type": ["Split"], "bottom": [blob], "top": tops}
    result = []
    for i, layer in enumerate(layers):
        copy = dict(layer)
        if "bottom" in layer:
            copy["bottom"] = [new_names.get((i, j), name) for j, name in enumerate(layer["bottom"])]
        result.append(copy)
        result += [split for _, split in sorted(splits.get(i, {}).items())]
    return result


def readers_of_tops(layers):
    """Return a dict: (layer, top) -> list of the (layer, bottom) that read it, all as numbers."""
    latest, readers = {}, {}
    for i, layer in enumerate(layers):
        for j, name in enumerate(layer.get("bottom", [])):
            if name not in latest:
                raise ValueError(f"layer {layer['name'][0]} reads {name}, which no layer before it makes")
            readers.setdefault(latest[name], []).append((i, j))
        for k, name in enumerate(layer.get("top", [])):
            latest[name] = (i, k)
    return readers
