"""The Python layer of py-faster-rcnn that its nets need when they are used, so that its code is not needed for them."""

from typing import Any

from minicaffe.layer import in_place_of
from minicaffe.layers.detection._proposals import BASE, RegionProposals, anchors_of
from minicaffe.proto import TRAIN, PythonParameter

RATIOS, SCALES = (0.5, 1, 2), (8, 16, 32)
# Of the configuration of py-faster-rcnn (its prototxts do not hold them): RPN_PRE_NMS_TOP_N, RPN_POST_NMS_TOP_N,
# RPN_NMS_THRESH and RPN_MIN_SIZE
LIMITS = {"TRAIN": (12000, 2000), "TEST": (6000, 300)}
OVERLAP, LEAST = 0.7, 16
OWN = "a file rpn/proposal_layer.py of your own, in the current folder or along PYTHONPATH, takes its place"


@in_place_of("rpn.proposal_layer", "ProposalLayer")
class PyFasterRCNNProposals(RegionProposals):
    """rpn.proposal_layer.ProposalLayer of py-faster-rcnn: regions that may hold an object, the best first.

    Forward   that of the layer type Proposal, with base_size 16, ratios 0.5, 1 and 2, min_size 16, nms_thresh 0.7
    Backward  none: the gradient is 0

    Bottom    score (1, 2·A, H, W), t (1, 4·A, H, W), info (1, 3), as those of Proposal
    Top       y (R, 5);  optional: the scores (R, 1)
    Params    python_param: module "rpn.proposal_layer", layer "ProposalLayer", param_str: YAML, with feat_stride (must
              be given), scales (8, 16, 32) and ratios (0.5, 1, 2)
    Phase     TRAIN looks at the best 12000 boxes and puts out 2000, TEST looks at 6000 and puts out 300
    Errors    LayerError when param_str is not a mapping in YAML or has other names or wrong numbers, there is more than
              one image, or the shapes of the bottoms do not fit the anchors or each other
    """

    type = "Python"
    message = "python_param"
    param: PythonParameter

    def setup(self, bottom, top):
        given = self._read_param_str()
        self.stride = given["feat_stride"]
        self.anchors = anchors_of(BASE, given.get("ratios", RATIOS), given.get("scales", SCALES))
        self.before, self.after = LIMITS["TRAIN" if self.phase == TRAIN else "TEST"]
        self.overlap, self.least = OVERLAP, LEAST

    def reshape(self, bottom, top):
        super().reshape(bottom, top)
        if bottom[0].shape[0] != 1:
            self.fail(f"bottom[0] {bottom[0].shape} must have one image: this layer of py-faster-rcnn takes no more")

    def _read_param_str(self) -> dict[str, Any]:
        """Return what param_str says; raise a LayerError where it says something else than this layer reads."""
        import yaml  # only here: other nets need no PyYAML

        try:  # the nets have tuples of Python, which plain YAML does not know; a list is as good
            given = yaml.safe_load(self.param.param_str.replace("!!python/tuple", ""))
        except yaml.YAMLError as error:
            self.check(False, "param_str", f"is not YAML ({' '.join(str(error).split())})")
        if not isinstance(given, dict) or "feat_stride" not in given:
            self.check(False, "param_str", "must say feat_stride", hint="param_str: \"'feat_stride': 16\"")
        if unknown := sorted(str(name) for name in set(given) - {"feat_stride", "scales", "ratios"}):
            self.check(False, "param_str", f"has {', '.join(unknown)}, which py-faster-rcnn's layer does not read",
                       hint=f"for a layer that reads more, {OWN}")
        for name, value in given.items():
            values = [value] if name == "feat_stride" else value
            if not isinstance(values, (list, tuple)) or not values or not all(map(_is_positive, values)):
                kind = "a positive number" if name == "feat_stride" else "a list of positive numbers"
                self.check(False, "param_str", f"must have {kind} for {name}")
        return given


def _is_positive(value):
    """Return whether a value is a positive number; True is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")
