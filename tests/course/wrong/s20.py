"""Mistakes of step 20, a real caffemodel."""

from course_tools import Variant

FILE = "my_caffe/caffemodel.py"
ADD = "number += (byte % 128) << shift"
TOO_SHORT = """            if len(value) < size:
                raise ValueError("the file ends within a field")
"""
ARRAY = 'array = np.frombuffer(doubles, "<f8") if doubles else np.frombuffer(floats, "<f4")'
RESHAPE = "return array.astype(np.float64).reshape(shape)"
FITS = "return more >= 0 and stored.shape == (1,) * more + blob.shape"
COUNTED = "        if len(stored) != len(layer.blobs):\n"
WRITE = "blob.data[...] = array.reshape(blob.shape)"
FOR = """    for name, layer in zip(net.names, net.layers, strict=True):
        if name not in weights:
            continue
        stored = weights[name]
"""
LEARNERS = """    learners = [(name, layer) for name, layer in zip(net.names, net.layers) if layer.blobs]
    for (name, layer), stored in zip(learners, weights.values()):
"""
WRONG = [
    Variant("the flag in the number", FILE, ADD, "number += byte << shift", "flag_in_the_number"),
    Variant("eight bits a byte", FILE, "shift += 7", "shift += 8", "eight_bits"),
    Variant("the highest first", FILE, ADD, "number = (number << 7) + byte % 128", "highest_first"),
    Variant("the place is not returned", FILE, "return number, place\n    raise", "return number\n    raise",
            "no_pair"),
    Variant("no end within a number", FILE, '    raise ValueError("the file ends within a number")',
            "    return number, place", "no_value_error"),
    Variant("the tag for the number", FILE, "number, wire_type = tag // 8, tag % 8", "number, wire_type = tag, tag % 8",
            "tag_for_number"),
    Variant("a dict of fields", FILE, "    return found\n", "    return list(dict(found).items())\n", "last_one_wins"),
    Variant("sorted fields", FILE, "    return found\n", "    return sorted(found, key=lambda field: field[0])\n",
            "sorted"),
    Variant("a slice of what is there", FILE, TOO_SHORT, "", "no_value_error"),
    Variant("any wire type will do", FILE, 'raise ValueError(f"there is no wire type {wire_type} in a caffemodel")',
            "size = 0", "no_value_error"),
    Variant("the highest byte first", FILE, ARRAY, ARRAY.replace("<f4", ">f4"), "bytes_swapped"),
    Variant("the order of columns", FILE, RESHAPE, "return array.astype(np.float64).reshape(shape, order='F')",
            "first_axis_fastest"),
    Variant("float32 is kept", FILE, RESHAPE, "return array.reshape(shape)", "number_type"),
    Variant("the shape is not read", FILE, RESHAPE, "return array.astype(np.float64)", "shape_ignored"),
    Variant("the diff for the data", FILE, "elif number == 5:", "elif number in (5, 6):\n            floats = value\n"
            "        elif number == 55:", "diff_for_data"),
    Variant("the last number alone", FILE, "floats += value",
            "floats = value if len(value) > 4 else value * int(np.prod(shape or 1))", "last_number_alone"),
    Variant("layers without weights", FILE, "            if blobs:\n", "            if True:\n",
            "layers_without_weights"),
    Variant("names as bytes", FILE, 'name = value.decode("utf-8")', "name = value", "bytes_for_text"),
    Variant("names in latin-1", FILE, 'value.decode("utf-8")', 'value.decode("latin-1")', "not_utf8"),
    Variant("the type for the name", FILE, "if kind == 1:", "if kind == 2:", "type_for_name"),
    Variant("one blob alone", FILE, "blobs.append(blob_array(value))", "blobs = [blob_array(value)]", "blobs_missing"),
    Variant("the blobs turned round", FILE, "weights[name] = blobs", "weights[name] = blobs[::-1]",
            "blobs_in_other_order"),
    Variant("by position", FILE, FOR, LEARNERS, "by_position"),
    Variant("another array", FILE, WRITE, "blob.data = array.reshape(blob.shape)", "data_replaced"),
    Variant("nothing is written", FILE, WRITE, "data = array.reshape(blob.shape)", "nothing_copied"),
    Variant("blobs are not counted", FILE, COUNTED, "        layer.blobs = layer.blobs[:len(stored)]\n"
            "        stored = stored[:len(layer.blobs)]\n        if not stored:\n", "blobs_not_counted"),
    Variant("the count of numbers alone", FILE, FITS, "return stored.size == blob.count", "reshaped"),
    Variant("names in the order of the file", FILE, "    return loaded\n", "    return list(weights)\n",
            "wrong_names_returned"),
    Variant("no weights are loaded", FILE, "    load(net, read(path))\n", "", "weights_not_loaded"),
    Variant("the net is not returned", FILE, "    load(net, read(path))\n    return net\n",
            "    load(net, read(path))\n", "net_not_returned"),
    Variant("pooling of a plain kind", FILE, 'register("Pooling", AnyPoolingLayer)',
            'from my_caffe.pooling import PoolingLayer\n    register("Pooling", PoolingLayer)', "error"),
]
