"""Mistakes of step 11, wiring and in-place."""

from course_tools import Variant

RELU, SPLITS, NET = (f"my_caffe/{name}.py" for name in ("relu", "insert_splits", "net"))
Y = "top[0].data[...] = np.maximum(bottom[0].data, 0)"
DX = "bottom[0].diff[...] = top[0].diff * (top[0].data > 0)"
LOOK_UP = """            if name not in latest:
                raise ValueError(f"layer {layer['name'][0]} reads {name}, which no layer before it makes")
            readers.setdefault(latest[name], []).append((i, j))
"""
ENTER = """        for k, name in enumerate(layer.get("top", [])):
            latest[name] = (i, k)
"""
RESULT = "        result.append(copy)\n"
BEGIN = "blob.diff[...] = weight"
TOTAL = "weight * blob.data.sum() for blob, weight in zip(top, weights, strict=True) if weight"
WRONG = [
    Variant("y is never negative", RELU, "(top[0].data > 0)", "(top[0].data >= 0)", "slope_is_one"),
    Variant("the slope at 0", RELU, "(top[0].data > 0)", "(bottom[0].data >= 0)", "slope_at_zero"),
    Variant("the diff of the bottom for dy", RELU, "= top[0].diff", "= bottom[0].diff", "diff_of_the_bottom"),
    Variant("the sign of dy", RELU, DX, "bottom[0].diff[...] = np.maximum(top[0].diff, 0)", "relu_of_dy"),
    Variant("one maximum of all numbers", RELU, Y, "top[0].data[...] = max(bottom[0].data.max(), 0)", "largest_of_all"),
    Variant("the top is cleared first", RELU, Y, """y, x = top[0].data, bottom[0].data
        y[...] = 0
        y[x > 0] = x[x > 0]""", "cleared_before_read"),
    Variant("the diff is cleared first", RELU, DX, """passed = top[0].data > 0
            bottom[0].diff[...] = 0
            bottom[0].diff[passed] = top[0].diff[passed]""", "cleared_before_read"),
    Variant("parameters in lists", NET, "values[0] if len(values) == 1 else values", "values", "values_in_lists"),
    Variant("the first of several values", NET, "values[0] if len(values) == 1 else values", "values[0]",
            "one_of_several"),
    Variant("param is taken for parameters", NET, 'name.endswith("_param")', 'name.endswith("param")',
            "param_is_no_parameter"),
    Variant("parameters are not handed on", NET, "TYPES[type_name](**param)", "TYPES[type_name]()", "no_parameters"),
    Variant("the class for a layer", NET, "return TYPES[type_name](**param)", "return TYPES[type_name]",
            "class_for_layer"),
    Variant("an unknown type is not asked for", NET, "    if type_name not in TYPES:", "    if False:", "key_error"),
    Variant("in place for all", NET, "    if in_place:\n", "    if True:\n", "always_in_place"),
    Variant("a Split counts from 1", SPLITS, 'f"{name}_{n}"', 'f"{name}_{n + 1}"', "numbers_from_one"),
    Variant("all readers take one top", SPLITS, "zip(readers, tops, strict=True)", "zip(readers, tops[:1] * "
            "len(tops))", "one_top_for_all"),
    Variant("readers keep their bottom", SPLITS, "[new_names.get((i, j), name) for j, name in",
            "[name for j, name in", "readers_keep_x"),
    Variant("a Split before its layer", SPLITS, RESULT, "        result[len(result):] = "
            "splits.pop(i, {}).values()\n" + RESULT, "split_before_its_layer"),
    Variant("a Split for one reader", SPLITS, "if len(readers) > 1:", "if readers:", "split_for_every_top"),
    Variant("Splits at the end", SPLITS, """\
        result += [split for _, split in sorted(splits.get(i, {}).items())]
""",
            "    result += [split for _, several in sorted(splits.items()) for _, split in sorted(several.items())]\n",
            "split_at_the_end"),
    Variant("the Split is not in the list", SPLITS, """\
        result += [split for _, split in sorted(splits.get(i, {}).items())]
""", "", "split_not_in_list"),
    Variant("the number of the top is 0", SPLITS, 'f"{blob}_{maker}_{k}_split"', 'f"{blob}_{maker}_0_split"',
            "number_of_top"),
    Variant("layers are counted", SPLITS, "            readers.setdefault(latest[name], []).append((i, j))",
            "            if (i, j - 1) not in readers.setdefault(latest[name], []):\n"
            "                readers[latest[name]].append((i, j))", "layers_counted"),
    Variant("the first maker of a name", SPLITS, "            latest[name] = (i, k)", "            "
            "latest.setdefault(name, (i, k))", "in_place_forgotten"),
    Variant("tops before bottoms", SPLITS, "        for j, name in enumerate(layer.get(\"bottom\", [])):\n" + LOOK_UP +
            ENTER, ENTER + "        for j, name in enumerate(layer.get(\"bottom\", [])):\n" + LOOK_UP,
            "reads_its_own_top"),
    Variant("definitions are changed", SPLITS, "copy = dict(layer)", "copy = layer", "definitions_changed"),
    Variant("only some fields are copied", SPLITS, "copy = dict(layer)", 'copy = {key: layer[key] for key in '
            '("name", "type", "bottom", "top") if key in layer}', "fields_lost"),
    Variant("an unknown bottom is looked up", SPLITS, "            if name not in latest:", "            if False:",
            "key_error"),
    Variant("an error without the layer", SPLITS, "f\"layer {layer['name'][0]} reads {name}, which", 'f"{name}, which',
            "error_without_names"),
    Variant("no Splits", NET, 'insert_splits(definition["layer"])', 'definition["layer"]', "no_splits_in_net"),
    Variant("a new blob for every top", NET, """                if type_name not in IN_PLACE:
                    raise ValueError(f"{where}: a layer of the type {type_name} cannot work in place")
""", """                self.blobs[name] = Blob()
""", "not_in_place"),
    Variant("set up, and not reshaped before forward", NET, "        layer.reshape(bottoms, tops)\n", "",
            "set_up_before_shaped"),
    Variant("params without biases", NET, "for layer in self.layers for blob in layer.blobs]", "for layer in "
            "self.layers for blob in layer.blobs[:1]]", "not_all_params"),
    Variant("params from the last layer on", NET, "[blob for layer in self.layers for", "[blob for layer in "
            "self.layers[::-1] for", "order_of_params"),
    Variant("or for the default of λ", NET, 'weights = list(definition.get("loss_weight", [1] if '
            'type_name.endswith("Loss") else []))', 'weights = [one(definition, "loss_weight") or '
            '(1 if type_name.endswith("Loss") else 0)]', "given_weight_ignored"),
    Variant("λ is always 1", NET, 'list(definition.get("loss_weight", [1] if type_name.endswith("Loss") else []))',
            '[1] if type_name.endswith("Loss") else []', "given_weight_ignored"),
    Variant("one λ for each layer", NET, "weights + [0] * (len(tops) - len(weights))", "weights or [0]",
            "weight_for_each_top"),
    Variant("λ of 1 for every layer", NET, 'if type_name.endswith("Loss") else []', "", "default_weight"),
    Variant("a blob is made twice", NET, "            elif name in self.blobs:", "            elif False:",
            "two_makers_not_refused"),
    Variant("every type works in place", NET, "                if type_name not in IN_PLACE:", "                "
            "if False:", "in_place_not_refused"),
    Variant("the loss without λ", NET, TOTAL, TOTAL.replace("weight * ", ""), "loss_without_weight"),
    Variant("the last loss alone", NET, "total += sum", "total = sum", "one_loss_alone"),
    Variant("all tops are added", NET, TOTAL, TOTAL.replace("weight * ", "").replace(" if weight", ""),
            "all_tops_added"),
    Variant("the array for its sum", NET, TOTAL, TOTAL.replace(".sum()", ""), "array_for_number"),
    Variant("backward begins anywhere", NET, BEGIN, "pass", "begin_not_written"),
    Variant("only losses begin", NET, "                " + BEGIN, "                if weight:\n                    " +
            BEGIN, "unread_top_not_cleared"),
    Variant("all tops begin with 1", NET, BEGIN, "blob.diff[...] = 1", "ones_for_all_tops"),
    Variant("the loss begins with 1", NET, BEGIN, "blob.diff[...] = 1 if weight else 0", "weight_not_in_diff"),
    Variant("backward from the first layer on", NET, "in reversed(range(len(self.layers)))", "in "
            "range(len(self.layers))", "layers_not_run"),
    Variant("weights are cleared", NET, "    def backward(self):\n", "    def backward(self):\n        for blob in "
            "self.params:\n            blob.clear_diff()\n", "weights_cleared"),
    Variant("runs is not asked", NET, "            if self.runs[i]:", "            if True:", "runs_ignored"),
    Variant("all bottoms get a diff", NET, "self.layers[i].backward(self.tops[i], self.propagate_down[i], ",
            "self.layers[i].backward(self.tops[i], [True] * len(self.bottoms[i]), ", "flags_ignored"),
    Variant("set up again for each batch", NET, "            layer.reshape(bottom, top)\n            "
            "layer.forward", "            layer.setup(bottom, top)\n            layer.reshape(bottom, top)\n"
            "            layer.forward", "set_up_again"),
    Variant("no reshape before forward", NET, "            layer.reshape(bottom, top)\n            "
            "layer.forward", "            layer.forward", "shapes_do_not_fit"),
]
