"""The fields of layers that only forks of Caffe have: those that change the order and the size of blobs."""

from layer_rows import ENGINE, NUMBER, SIZE, Table, one
from net_tools import inputs
from rows import ALLOWED, ERROR, WARNING, Row

FOUR_CHANNELS = inputs(x=(2, 4, 6, 8))
POOLED, NO_MASK = inputs(x=(2, 3, 4, 5), m=(2, 3, 4, 5)), inputs(x=(2, 3, 4, 5))
FACTOR = {"zero": ERROR, "negative": ERROR}

FORK_TABLES = [
    Table("ContinuationIndicatorParameter", one("ContinuationIndicator", "continuation_indicator_param",
                                                "time_step: 3 batch_size: 2", "", ""), "continuation_indicator_param", [
        Row("time_step", "there must be a step", zero=ERROR, missing=(ERROR, "clear time_step")),
        Row("batch_size", "without a bottom nothing else says it", zero=ERROR, missing=(ERROR, "clear batch_size")),
        Row("axis", "of a bottom, and there is none", zero=WARNING, negative=WARNING)]),
    Table("CropCenterParameter", one("CropCenter", "crop_center_param",
                                     "crop_size: 0 crop_size: 0 crop_size: 1 crop_size: 1"), "crop_center_param", [
        Row("crop_size", "0 cuts nothing off; one an axis", zero=ALLOWED, missing=(ERROR, "clear crop_size"),
            alone=(ERROR, "crop_size: 1"))]),
    Table("InterpParameter", one("Interp", "interp_param", "height: 9 width: 4"), "interp_param", [
        Row("height", "0 is not given", **FACTOR, alone=(WARNING, "clear width zoom_factor: 2")),
        Row("width", "0 is not given", **FACTOR, missing=(ERROR, "clear width")),
        Row("zoom_factor", "1 changes nothing", **FACTOR, context="clear height clear width",
            alone=(WARNING, "zoom_factor: 2")),
        Row("shrink_factor", "it divides", **FACTOR, context="clear height clear width"),
        Row("pad_beg", "rows are cut off, never added; something must be left", zero=ALLOWED, negative=ALLOWED,
            alone=(ERROR, "pad_beg: -7")),
        Row("pad_end", "rows are cut off, never added; something must be left", zero=ALLOWED, negative=ALLOWED,
            alone=(ERROR, "pad_end: 1")),
        Row("use_blob_size", "with a second bottom alone", alone=(ERROR, "use_blob_size: true")),
        Row("mode", "NEAREST is not there", alone=(ERROR, "mode: NEAREST"))]),
    Table("ReLU6Parameter", one("ReLU6", "relu6_param"), "relu6_param", [
        Row("negative_slope", "below 0 is a mirror", **NUMBER), ENGINE]),
    Table("ReorgParameter", one("Reorg", "reorg_param", "stride: 2", FOUR_CHANNELS), "reorg_param", [
        Row("stride", "it divides", **SIZE, missing=(ERROR, "clear stride"), alone=(ERROR, "clear stride stride: 4")),
        Row("reverse", "a choice")]),
    Table("ReverseParameter", one("Reverse", "reverse_param"), "reverse_param", [
        Row("axis", "negative counts from the end", zero=ALLOWED, negative=ALLOWED)]),
    Table("ShuffleChannelParameter", one("ShuffleChannel", "shuffle_channel_param", "group: 3"),
          "shuffle_channel_param", [
        Row("group", "it divides the channels", **SIZE, alone=(ERROR, "clear group group: 2"))]),
    Table("TransposeParameter", one("Transpose", "transpose_param", "dim: 0 dim: 2 dim: 1 dim: 3"), "transpose_param", [
        Row("dim", "each axis once", zero=ERROR, negative=ERROR, missing=(ERROR, "clear dim"))]),
    Table("UpsampleParameter", one("Upsample", "upsample_param", "scale: 2", POOLED, "x m"), "upsample_param", [
        Row("scale", "the top has a size", **SIZE, alone=(WARNING, "scale_h: 2 scale_w: 2")),
        Row("scale_h", "the top has a size; beside scale_w", **SIZE, context="clear scale scale_w: 2",
            alone=(ERROR, "clear scale scale_h: 2")),
        Row("scale_w", "the top has a size; beside scale_h", **SIZE, context="clear scale scale_h: 2",
            alone=(ERROR, "clear scale scale_w: 2")),
        Row("pad_out_h", "for a scale of 2 alone", alone=(ERROR, "clear scale scale: 3 pad_out_h: true")),
        Row("pad_out_w", "for a scale of 2 alone", alone=(ERROR, "clear scale scale: 3 pad_out_w: true")),
        Row("upsample_h", "the top has a size; beside upsample_w", **SIZE, context="clear scale upsample_w: 9",
            alone=(ERROR, "clear scale upsample_h: 9")),
        Row("upsample_w", "the top has a size; beside upsample_h", **SIZE, context="clear scale upsample_h: 9",
            alone=(ERROR, "clear scale upsample_w: 9"))]),
]
