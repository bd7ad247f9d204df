"""ContinuationIndicator: tell a recurrent layer that every sequence begins at the first time step."""

from minicaffe.layer import Layer, register
from minicaffe.proto import ContinuationIndicatorParameter


@register("ContinuationIndicator")
class ContinuationIndicatorLayer(Layer):
    """Make the second bottom of LSTM and RNN for a batch of whole sequences: a 0 where one begins, and 1 after it.

    Forward   y[t, n] = min(t, 1), which is 0 in the first time step and 1 in all others
    Backward  dx = 0: only the shape of x is read

    Bottom    x, of which only the shape is read; or none
    Top       y (T, N)
    Params    continuation_indicator_param: time_step=T (must be given, 0), batch_size=N (where there is no x, must be
              given, 0), axis (of x, which has the size N, 0)
    In place  no: the top has a shape of its own
    Errors    LayerError when time_step is missing, when batch_size is missing and there is no x, when axis is out of
              range
    See       crnn.caffe has batch_size and no bottom; jolibrain's fork has x and axis
    """

    message = "continuation_indicator_param"
    param: ContinuationIndicatorParameter
    bottoms = (0, 1)
    shapes_alone = True  # else an LSTM would be asked for a gradient of its second bottom, which it refuses
    backward_reads = ()

    def setup(self, bottom, top):
        p = self.param
        self.check(p.time_step > 0, "time_step", "must be set to the number of time steps, at least 1")
        if bottom:
            self.check_effect(False, "batch_size", "the batch is axis of bottom[0]")
        else:
            self.check(p.batch_size > 0, "batch_size", "must be set where the layer has no bottom")
            self.check_effect(False, "axis", "the layer has no bottom")

    def reshape(self, bottom, top):
        N = bottom[0].shape[self.axis_of(bottom[0])] if bottom else self.param.batch_size
        top[0].reshape(self.param.time_step, N)

    def forward(self, bottom, top):
        y = top[0].data
        y[0] = 0
        y[1:] = 1

    def backward(self, top, propagate_down, bottom):
        if propagate_down and propagate_down[0]:
            bottom[0].diff.fill(0)
