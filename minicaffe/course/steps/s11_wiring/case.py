"""The net on which step 11 is checked, and what it computes, written out by hand."""

from __future__ import annotations

import numpy as np

from minicaffe.course.checking import Draw
from minicaffe.course.student import Student


class Case:
    """The student's net of two branches, and what it computes, written out by hand."""

    LINES = """data: -> x t
               ip: x -> h
               act: h -> h
               h_act_0_split: h -> h_act_0_split_0 h_act_0_split_1
               a: h_act_0_split_0 -> a
               b: h_act_0_split_1 -> b
               sum: a b -> z
               z_sum_0_split: z -> z_sum_0_split_0 z_sum_0_split_1
               out: z_sum_0_split_0 -> p
               loss: z_sum_0_split_1 t -> L"""

    def __init__(self, my: Student, draw: Draw, loss_weight: str = "", of_a: str = "") -> None:
        """Make the net. `loss_weight` is text for the layer loss, and `of_a` for the layer a."""
        N, D, H, K = self.sizes = draw.sizes(4, high=5)
        self.text = f"""
layer {{ name: "data" type: "Input" top: "x" top: "t"
  input_param {{ shape {{ dim: {N} dim: {D} }} shape {{ dim: {N} dim: {K} }} }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "h" inner_product_param {{ num_output: {H} }} }}
layer {{ name: "act" type: "ReLU" bottom: "h" top: "h" }}
layer {{ name: "a" type: "InnerProduct" bottom: "h" top: "a" {of_a} inner_product_param {{ num_output: {K} }} }}
layer {{ name: "b" type: "InnerProduct" bottom: "h" top: "b"
  inner_product_param {{ num_output: {K} bias_term: false }} }}
layer {{ name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "z" eltwise_param {{ coeff: 0.5 coeff: -2 }} }}
layer {{ name: "out" type: "Sigmoid" bottom: "z" top: "p" }}
layer {{ name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "z" bottom: "t" top: "L" {loss_weight} }}
"""
        self.draw, self.net = draw, my.net.Net(my.prototxt.parse(self.text))
        self.weights = [draw.numbers(*shape, largest=1) for shape in ((H, D), (H,), (K, H), (K,), (K, H))]

    def fill(self) -> None:
        """Give the net weights and a batch."""
        for blob, values in zip(self.net.params, self.weights, strict=True):
            blob.data[...] = values
        self.batch(self.sizes[0])

    def batch(self, N: int) -> None:
        """Give the net another batch of this size."""
        _, D, _, K = self.sizes
        self.x, self.t = self.draw.numbers(N, D), self.draw.rng.integers(0, 5, (N, K)) / 4
        for name, values in (("x", self.x), ("t", self.t)):
            self.net.blobs[name].reshape(values.shape)
            self.net.blobs[name].data[...] = values

    def before_act(self) -> np.ndarray:
        """Return what ip writes into h."""
        return np.asarray(self.x @ self.weights[0].T + self.weights[1])

    def values(self) -> dict[str, np.ndarray]:
        """Return the data of all blobs after a forward pass: name -> array."""
        _, _, wa, ba, wb = self.weights
        h = np.maximum(self.before_act(), 0)
        a, c = h @ wa.T + ba, h @ wb.T
        z = 0.5 * a - 2 * c
        p = 1 / (1 + np.exp(-z))
        L = np.array(-(self.t * np.log(p) + (1 - self.t) * np.log(1 - p)).sum() / len(self.x))
        return {"x": self.x, "t": self.t, "h": h, "h_act_0_split_0": h, "h_act_0_split_1": h, "a": a, "b": c, "z": z,
                "z_sum_0_split_0": z, "z_sum_0_split_1": z, "p": p, "L": L}

    def gradients(self, weight: float, dp: float = 0.0) -> list[np.ndarray]:
        """Return the gradients of the weights for a λ of the loss and a diff of p."""
        _, _, wa, _, wb = self.weights
        h, p = self.values()["h"], self.values()["p"]
        dz = weight * (p - self.t) / len(self.x) + dp * p * (1 - p)
        dh = (0.5 * dz @ wa - 2 * dz @ wb) * (h > 0)
        return [dh.T @ self.x, dh.sum(0), 0.5 * dz.T @ h, 0.5 * dz.sum(0), -2 * dz.T @ h]
