"""Mistakes of step 6, a chain of two layers."""

from course_tools import Variant

FILE = "my_caffe/chain.py"
SETUP = """            layer.setup(self._bottom(i), self._top(i))
            layer.reshape(self._bottom(i), self._top(i))
"""
TWO_LOOPS = """            layer.setup(self._bottom(i), self._top(i))
        for i, layer in enumerate(self.layers):
            layer.reshape(self._bottom(i), self._top(i))
"""
RUN = """            layer.reshape(self._bottom(i), self._top(i))
            layer.forward(self._bottom(i), self._top(i))
"""
DY = "        self.blobs[-1].diff[...] = dy\n"
FLAGS = "[i > 0] + [False] * (len(self._bottom(i)) - 1)"
BLOBS = "[Blob() for _ in range(len(layers) + 1)]"
PARAMS = "[blob for layer in self.layers for blob in layer.blobs]"
WRITE_FIRST = """        self._write(x, t)
        for i, layer in enumerate(self.layers):
            layer.setup"""
WRITE = "                blob.data[...] = values"
TARGETS = "([self.targets] if last and self.targets is not None else [])"
WRONG = [
    Variant("as many blobs as layers", FILE, "range(len(layers) + 1)", "range(len(layers))", "number_of_blobs"),
    Variant("the blobs are made later", FILE, BLOBS, "[]", "number_of_blobs"),
    Variant("one blob for all", FILE, BLOBS, "[Blob()] * (len(layers) + 1)", "one_blob_for_all"),
    Variant("all layers are set up before the first reshape", FILE, SETUP, TWO_LOOPS,
            "shape_not_known_in_setup"),
    Variant("x has no shape in setup", FILE, WRITE_FIRST, WRITE_FIRST.replace("self._write(x, t)", "pass"),
            "input_without_shape"),
    Variant("setup runs forward", FILE, SETUP, SETUP + "            layer.forward(self._bottom(i), self._top(i))\n",
            "forward_in_setup"),
    Variant("forward sets up again", FILE, RUN, SETUP + RUN, "setup_in_forward"),
    Variant("no reshape in forward", FILE, RUN, "            layer.forward(self._bottom(i), self._top(i))\n",
            "reshape_missing"),
    Variant("every layer reads x", FILE, "[self.blobs[i]] + (", "[self.blobs[0]] + (", "other_blobs"),
    Variant("every layer writes the last blob", FILE, "[self.blobs[i + 1]]", "[self.blobs[-1]]", "other_blobs"),
    Variant("backward from the first layer", FILE, "in reversed(range(len(self.layers)))", "in range(len(self.layers))",
            "backward_in_forward_order"),
    Variant("backward leaves out the first layer", FILE, "reversed(range(len(self.layers)))",
            "range(len(self.layers) - 1, 0, -1)", "order_of_backward"),
    Variant("the first layer computes dx", FILE, FLAGS, "[True] + [False] * (len(self._bottom(i)) - 1)",
            "first_layer_asked"),
    Variant("no layer hands down", FILE, FLAGS, "[False] * len(self._bottom(i))", "nothing_handed_down"),
    Variant("the targets get a gradient", FILE, FLAGS, "[i > 0] * len(self._bottom(i))", "targets_asked"),
    Variant("one flag for two bottoms", FILE, FLAGS, "[i > 0]", "a_flag_for_each_bottom"),
    Variant("every layer gets the targets", FILE, TARGETS, "([self.targets] if self.targets is not None else [])",
            "bottoms_of_the_last_layer"),
    Variant("the first top is returned", FILE, "return self.blobs[-1].data", "return self.blobs[1].data",
            "not_the_last_top"),
    Variant("the last bottom is returned", FILE, "return self.blobs[-1].data", "return self.blobs[-2].data",
            "not_the_last_top"),
    Variant("the blob takes the array of the caller", FILE, WRITE, "                blob.data = values",
            "input_is_not_copied"),
    Variant("the blob gets a copy for its array", FILE, WRITE, "                blob.data = values.copy()",
            "input_replaced"),
    Variant("x keeps its first shape", FILE, "                blob.reshape(values.shape)\n",
            "                if blob.shape == ():\n                    blob.reshape(values.shape)\n",
            "shapes_do_not_fit"),
    Variant("dy is forgotten", FILE, DY, "", "dy_not_written"),
    Variant("backward begins with 1", FILE, DY, "        self.blobs[-1].diff[...] = 1\n", "dy_not_taken"),
    Variant("dy is another array", FILE, DY, "        self.blobs[-1].diff = dy\n", "diff_replaced"),
    Variant("dy is added", FILE, DY, "        self.blobs[-1].diff[...] += dy\n", "dy_added"),
    Variant("backward begins with the loss", FILE, DY, "        self.blobs[-1].diff[...] = dy * self.blobs[-1].data\n"
            "        if self.blobs[-1].shape:\n            self.blobs[-1].diff[...] = dy\n", "loss_for_weight"),
    Variant("backward clears the diffs", FILE, DY, DY + "        for blob in self.params:\n"
            "            blob.clear_diff()\n", "diffs_cleared"),
    Variant("the targets of setup stay", FILE, "for blob, values in ((self.blobs[0], x), (self.targets, t)):\n"
            "            if blob is not None:", "for blob, values in ((self.blobs[0], x), (self.targets, t)):\n"
            "            if blob is not None and (blob is not self.targets or blob.shape == ()):",
            "first_targets_kept"),
    Variant("params is a list of lists", FILE, PARAMS, "[layer.blobs for layer in self.layers]", "list_of_lists"),
    Variant("params holds arrays", FILE, PARAMS, "[blob.data for layer in self.layers for blob in layer.blobs]",
            "arrays_for_blobs"),
    Variant("params without biases", FILE, PARAMS, "[blob for layer in self.layers for blob in layer.blobs[:1]]",
            "params_missing"),
    Variant("params from the last layer on", FILE, PARAMS,
            "[blob for layer in reversed(self.layers) for blob in layer.blobs]", "order_of_params"),
]
