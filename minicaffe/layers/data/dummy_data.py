"""DummyData: blobs of any shape, filled with constants or random numbers."""

from minicaffe.filler import fill
from minicaffe.layer import DataSource, register
from minicaffe.proto import DummyDataParameter, FillerParameter


@register("DummyData")
class DummyDataLayer(DataSource):
    """Make up data: to time a net, to test it, or to feed it a constant.

    Forward   y[i] filled anew by its filler; a constant is filled in once, when the net is made. In a training, random
              numbers follow from the seed, the update, the part of the batch and the layer's name
    Computed  fill: minicaffe/filler.py

    Top       y[0], y[1], …, each of its `shape`
    Params    dummy_data_param: shape (one for all tops, or one for each top), data_filler (one for all
              tops, or one for each top; absent: all 0)
              deprecated, for tops of four axes, each given once for all tops or once for each top: num, channels,
              height, width
    Errors    LayerError when the number of data_filler, shape, num, channels, height or width does not fit
              the tops, shape is given beside num, channels, height and width, or a size is negative
    Derived   docs/maths/chance.md#passes
    """

    message = "dummy_data_param"
    param: DummyDataParameter
    tops = (1, None)

    def setup(self, bottom, top):
        p, n = self.param, len(top)
        self.check(len(p.data_filler) in (0, 1, n), "data_filler",
                   f"must be given once, once for each of the {n} tops, or not at all")
        fillers = list(p.data_filler) or [FillerParameter(type="constant", value=0)]
        self.fillers = fillers * n if len(fillers) == 1 else fillers
        for y, sizes, filler in zip(top, self._shapes(n), self.fillers, strict=True):
            if min(sizes, default=0) < 0:
                self.fail(f"dummy_data_param.shape.dim has a negative size in the shape {sizes}")
            y.reshape(sizes)
            if filler.type == "constant" and not self.shapes_only:
                fill(y.data, filler, self.rng)

    def reshape(self, bottom, top):
        """Nothing to do: the shapes are fixed in `setup`."""

    def forward(self, bottom, top):
        # Caffe: a constant is never filled again, not even after an in-place layer has changed it
        for y, filler in zip(top, self.fillers, strict=True):
            if filler.type != "constant":
                fill(y.data, filler, self.rng)

    def take_turns(self, first, count, of):
        return True  # its numbers have no place in a source: they follow from the part, whoever computes it

    def _shapes(self, n):
        """Return a list of sizes for each top, from `shape` or from the four deprecated fields."""
        p, legacy = self.param, ("num", "channels", "height", "width")
        if not any(getattr(p, field) for field in legacy):
            return [list(shape.dim) for shape in self._one_a_top("shape", n)]
        self.check(not p.shape, "shape", "cannot be given beside num, channels, height and width")
        beside = ", as must all of " + ", ".join(legacy)
        return [list(sizes) for sizes in zip(*(self._one_a_top(field, n, beside) for field in legacy), strict=True)]

    def _one_a_top(self, field, n, beside=""):
        """Return the values of a repeated field, one for each top; `beside` ends the message of the error."""
        values = list(getattr(self.param, field))
        self.check(len(values) in (1, n), field, f"must be given once or once for each of the {n} tops{beside}")
        return values * n if len(values) == 1 else values
