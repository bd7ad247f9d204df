"""BatchNormalization and LRN."""

from __future__ import annotations

import numpy as np

from minicaffe.convert.onnx_in.given import Given, reads


@reads("BatchNormalization")
def batch_normalization(g: Given) -> None:
    """BatchNorm and Scale."""
    g.refuse_if(g.attribute("training_mode", 0), "is exported for training (training_mode)",
                "call model.eval() before the export")
    scale, shift, mean, variance = (g.constant(k, "a statistic") for k in (1, 2, 3, 4))
    y = g.layer("BatchNorm", g.bottom(), [mean, variance, np.ones(1)],
                batch_norm_param={"eps": g.attribute("epsilon", 1e-5), "use_global_stats": True})
    g.give(g.layer("Scale", y, [scale, shift], scale_param={"bias_term": True}))


@reads("LRN")
def lrn(g: Given) -> None:
    """LRN across channels. In Caffe the number of channels is odd."""
    size = g.attribute("size")
    g.refuse_if(size % 2 == 0, f"has a window of {size} channels, and Caffe one of an odd number")
    g.give(g.layer("LRN", g.bottom(), lrn_param={
        "local_size": size, "alpha": g.attribute("alpha", 1e-4), "beta": g.attribute("beta", 0.75),
        "k": g.attribute("bias", 1.0)}))
