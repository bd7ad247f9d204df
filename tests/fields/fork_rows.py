"""The fields of layers that only forks of Caffe have: those that change the order and the size of blobs."""

from layer_rows import ENGINE, NUMBER, SIZE, Table, one
from net_tools import inputs
from rows import ALLOWED, ERROR, WARNING, Row

FOUR_CHANNELS = inputs(x=(2, 4, 6, 8))
POOLED, NO_MASK = inputs(x=(2, 3, 4, 5), m=(2, 3, 4, 5)), inputs(x=(2, 3, 4, 5))
FACTOR = {"zero": ERROR, "negative": ERROR}
CELLS = inputs(x=(2, 14, 4, 3))
ONLY_THE_BEST = {"zero": WARNING, "negative": ERROR, "nan": ERROR, "inf": ERROR}

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
    Table("LSTMParameter", one("Lstm", "lstm_param", "num_output: 2", inputs(x=(3, 2, 5))), "lstm_param", [
        Row("num_output", "a state has numbers", **SIZE), Row("weight_filler", "see FillerParameter"),
        Row("bias_filler", "see FillerParameter"),
        Row("clipping_threshold", "0 is no limit", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR),
        Row("batch_size", "it divides the rows", **SIZE, alone=(ERROR, "batch_size: 2"))]),
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
    Table("YoloDetectionOutputParameter", one("YoloDetectionOutput", "yolo_detection_output_param",
                                              "num_classes: 2 num_box: 2 biases: [1, 2, 2, 1]", CELLS),
          "yolo_detection_output_param", [
        Row("side", "documented: the bottom says it", zero=ALLOWED),
        Row("num_classes", "there must be a class", zero=ERROR, missing=(ERROR, "clear num_classes")),
        Row("num_box", "there must be a box", **SIZE),
        Row("coords", "of another number nothing is known", zero=ERROR, alone=(ERROR, "coords: 5")),
        Row("confidence_threshold", "below 0 all boxes are looked at", **NUMBER),
        Row("nms_threshold", "at 0 one box is left", **ONLY_THE_BEST),
        Row("biases", "sizes; two a box", zero=ERROR, negative=ERROR, nan=ERROR, inf=ERROR,
            missing=(ERROR, "clear biases"), alone=(ERROR, "biases: 3")),
        Row("label_map_file", "documented: names of classes are not put out", empty=ALLOWED)]),
    Table("Yolov3DetectionOutputParameter", one("Yolov3DetectionOutput", "yolov3_detection_output_param",
                                                "num_classes: 2 num_box: 2 biases: [9, 12, 20, 15] mask: [0, 1] "
                                                "anchors_scale: 16 mask_group_num: 1", CELLS),
          "yolov3_detection_output_param", [
        Row("num_classes", "there must be a class", zero=ERROR, missing=(ERROR, "clear num_classes")),
        Row("num_box", "there must be a box", **SIZE),
        Row("confidence_threshold", "below 0 all boxes are looked at", **NUMBER),
        Row("nms_threshold", "at 0 one box is left", **ONLY_THE_BEST),
        Row("biases", "sizes; pairs", zero=ERROR, negative=ERROR, nan=ERROR, inf=ERROR,
            missing=(ERROR, "clear biases"), alone=(ERROR, "biases: 3")),
        Row("anchors_scale", "it divides; one a bottom", zero=ERROR, missing=(ERROR, "clear anchors_scale"),
            alone=(ERROR, "anchors_scale: 8")),
        Row("mask_group_num", "the number of bottoms", zero=ERROR,
            alone=(ERROR, "clear mask_group_num mask_group_num: 2")),
        Row("mask", "numbers from 0", zero=ALLOWED, missing=(ERROR, "clear mask"),
            alone=(ERROR, "clear mask mask: 2 mask: 0")),
        Row("gaussian_box", "each box has four numbers more", alone=(ERROR, "gaussian_box: true"))]),
]
