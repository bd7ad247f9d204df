"""The fields of NetParameter and of every message in it, those that a net is defined with.

V0LayerParameter and V1LayerParameter are old forms, upgraded to these before a value is looked at; a BlobProto is
data, not a definition; a SaveOutputParameter is about files that minicaffe does not write. Fields of forks that no
layer type reads have no rows: one test tries them all.
"""

from dataclasses import dataclass

from net_tools import inputs, layer
from rows import ALLOWED, ERROR, WARNING, Row

REGIONS = inputs(x=(2, 3, 7, 5), r=(4, 5))
IMAGES, VECTORS, LABELS = inputs(x=(2, 3, 7, 5)), inputs(x=(4, 5)), inputs(label=(4,))
NUMBER = {"zero": ALLOWED, "negative": ALLOWED, "nan": ERROR, "inf": ERROR}  # any finite number
AXIS = {"zero": ALLOWED, "negative": ALLOWED}  # negative ones count from the end
SIZE = {"zero": ERROR}
UNREAD = {"zero": ERROR, "negative": ERROR, "nan": ERROR, "inf": ERROR}


@dataclass(frozen=True)
class Table:
    """The rows of one message.

    message    its name in the schema
    net        a net that has such a message, with the layer 'y' in it
    path       where it stands in layer 'y'; None for the NetParameter itself. A table for a field of a LayerParameter
               is the row of that field
    """

    message: str
    net: str
    path: str | None
    rows: list[Row]

    @property
    def id(self) -> str:
        return self.message


ENGINE = Row("engine", "documented: minicaffe's engine is chosen for the whole process")
FILLERS = [Row("weight_filler", "see FillerParameter"),
           Row("bias_filler", "see FillerParameter", alone=(WARNING, "bias_term: false bias_filler { value: 1 }"))]
BIAS_TERM = Row("bias_term", "a choice")
AXES = [Row("axis", "negative counts from the end", **AXIS), Row("num_axes", "0 is a scalar, -1 all axes", **AXIS)]
UNREAD_OF_DATA = [Row("scale", "today's place is transform_param", **UNREAD),
                  Row("mean_file", "today's place is transform_param", empty=ERROR),
                  Row("crop_size", "today's place is transform_param", zero=ERROR),
                  Row("mirror", "today's place is transform_param", alone=(ERROR, "mirror: true"))]
SOURCE = Row("source", "there is no such file", empty=ERROR)
BATCH = Row("batch_size", "a batch has samples", **SIZE)
SKIP = Row("rand_skip", "0 skips none", zero=ALLOWED)
PARTIAL = Row("partial_last_batch", "a choice, which counts in TEST")
BALANCE = Row("balance_classes", "a choice, which counts in TRAIN")
NOT_BELOW_0 = {"zero": ALLOWED, "negative": ERROR, "nan": ERROR, "inf": ERROR}
BELOW_OR_AT_0 = {"zero": ERROR, "negative": ERROR, "nan": ERROR, "inf": ERROR}
NO_EPS = "0 divides 0 by 0 where all values are equal; below 0 it makes roots of negative numbers"


def one(kind: str, message: str, fields: str = "", net: str = IMAGES, bottoms: str = "x", more: str = "") -> str:
    """The net with a layer 'y' of this type."""
    return net + layer(kind, bottoms, "y", f"{message} {{ {fields} }} {more}" if message else more)


FOUND = one("DetectionOutput", "detection_output_param", "num_classes: 3 nms_param { }",
            inputs(loc=(1, 8), conf=(1, 6), prior=(1, 2, 8), first=(1, 4)), "loc conf prior first")
SPREAD = "bbox_mean: 0 " * 4 + "bbox_std: 1 " * 4
GROUPS = one("BoxGroupOutput", "box_group_output_param", "box_group_param { stride: 4 field_h: 4 field_w: 4 }",
             inputs(p=(2, 3, 5, 6), t=(2, 4, 5, 6)), "p t")


TABLES = [
    # --- nets -----------------------------------------------------------------------------------------------
    Table("NetParameter", one("ReLU", ""), None, [
        Row("name", "a title", empty=ALLOWED),
        Row("layers", "the old form of layer"),
        Row("input", "a blob of that name", empty=ERROR, context="input_shape { dim: 2 }"),
        Row("input_dim", "a blob may be empty; a size is not negative", zero=ALLOWED, negative=ERROR,
            context='input: "a" input_dim: 1 input_dim: 1 input_dim: 1 input_dim: 1', alone=(WARNING, "input_dim: 3")),
        Row("force_backward", "a choice"),
        Row("state", "see NetState"),
        Row("debug_info", "a choice"),
        Row("input_shape", "without input it is the shape of nothing", alone=(WARNING, "input_shape { dim: 3 }")),
        Row("layer", "see LayerParameter"),
    ]),
    Table("NetState", one("ReLU", ""), "NetState", [
        Row("phase", "a choice"),
        Row("level", "0 is the default; of another one the rules must speak", zero=ALLOWED, negative=WARNING),
        Row("stage", "Caffe's train without --stage has the stage ''; of another one the rules must speak",
            empty=ALLOWED, alone=(WARNING, 'stage: "none"')),
    ]),
    Table("NetStateRule", one("ReLU", "", more="include { }"), "include", [
        Row("phase", "a choice"),
        Row("min_level", "any grade; above max_level the rule never holds", zero=ALLOWED, negative=ALLOWED,
            alone=(ERROR, "min_level: 2 max_level: 1")),
        Row("max_level", "any grade", zero=ALLOWED, negative=ALLOWED, context="min_level: -1"),
        Row("stage", "a name; '' is that of a train without --stage", empty=ALLOWED),
        Row("not_stage", "a name, and not that of a stage of the rule", empty=ALLOWED,
            alone=(ERROR, 'stage: "a" not_stage: "a"')),
    ]),
    Table("LayerParameter", one("InnerProduct", "inner_product_param", "num_output: 2"), "", [
        Row("name", "a layer may go without", empty=ALLOWED),
        Row("type", "there is no such type", empty=ERROR),
        Row("bottom", "there is no such blob", empty=ERROR),
        Row("top", "a blob needs a name", empty=ERROR),
        Row("loss_weight", "below 0 the loss is climbed, as the generator of an adversarial pair does", **NUMBER),
        Row("param", "one for a blob at most, as in Caffe", alone=(ERROR, "param { } param { } param { }")),
        Row("blobs", "learned values; their shape must fit"),
        Row("include", "not beside exclude", alone=(ERROR, "include { } exclude { }")),
        Row("exclude", "not beside include", alone=(ERROR, "include { } exclude { }")),
        Row("phase", "set by the net"),
        Row("propagate_down", "one a bottom", alone=(ERROR, "propagate_down: true propagate_down: true")),
    ]),
    Table("ParamSpec", one("InnerProduct", "inner_product_param", "num_output: 2", more="param { }"), "param", [
        Row("name", "'' is no name, and nothing is shared", empty=ALLOWED),
        Row("share_mode", "without a name nothing is shared", alone=(WARNING, "share_mode: PERMISSIVE")),
        Row("lr_mult", "0 keeps the blob as it is; below 0 its steps are turned round, as in gradient reversal",
            **NUMBER),
        Row("decay_mult", "below 0 weights grow; beside a negative lr_mult that is right", zero=ALLOWED,
            negative=WARNING, nan=ERROR, inf=ERROR),
    ]),
    Table("BlobShape", one("Input", "input_param", "shape { dim: 2 }", "", ""), "input_param.shape", [
        Row("dim", "a blob may be empty; a size is not negative", zero=ALLOWED, negative=ERROR),
    ]),

    # --- what several layers share --------------------------------------------------------------------------
    Table("FillerParameter", one("InnerProduct", "inner_product_param", "num_output: 2"),
          "inner_product_param.weight_filler", [
        Row("type", "there is no such filler", empty=ERROR),
        Row("value", "any number", **NUMBER, alone=(WARNING, 'type: "xavier" value: 1')),
        Row("min", "not above max, as in Caffe", **NUMBER, context='type: "uniform"',
            alone=(ERROR, 'type: "uniform" min: 2')),
        Row("max", "not below min, as in Caffe", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR,
            context='type: "uniform"'),
        Row("mean", "any number", **NUMBER, context='type: "gaussian"'),
        Row("std", "above 0, as in Caffe: constant fills without chance", zero=ERROR, negative=ERROR, nan=ERROR,
            inf=ERROR, context='type: "gaussian"', alone=(WARNING, "std: 0.1")),
        Row("sparse", "-1 is the default, all weights; 0 leaves none", zero=WARNING, negative=ALLOWED,
            context='type: "gaussian"', alone=(ERROR, "sparse: 2")),
        Row("variance_norm", "a choice", alone=(WARNING, "variance_norm: FAN_OUT")),
    ]),
    Table("TransformationParameter", layer("Data", "", "y", 'data_param { source: "db" backend: LMDB batch_size: 2 }'),
          "transform_param", [
        Row("scale", "0 makes every image the same; below 0 it is a negative", zero=ERROR, negative=ALLOWED,
            nan=ERROR, inf=ERROR),
        Row("mirror", "a choice"),
        Row("crop_size", "0 is none", zero=ALLOWED),
        Row("mean_file", "there is no such file", empty=ERROR),
        Row("mean_value", "any number", **NUMBER),
        Row("force_color", "not beside force_gray", alone=(ERROR, "force_color: true force_gray: true")),
        Row("force_gray", "not beside force_color", alone=(ERROR, "force_color: true force_gray: true")),
        Row("resize_shorter", "0 keeps the size", zero=ALLOWED),
        *[Row(name, "0 changes nothing", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR)
          for name in ("rotate", "zoom", "brightness", "contrast", "saturation", "erase")],
        Row("erase_area", "0 is no rectangle", context="erase: 0.5", zero=ERROR, negative=ERROR, nan=ERROR, inf=ERROR,
            alone=(WARNING, "erase_area: 0.1")),
    ]),
    Table("LossParameter", one("SigmoidCrossEntropyLoss", "", net=inputs(x=(4, 1), t=(4, 1)), bottoms="x t"),
          "loss_param", [
        Row("ignore_label", "-1 is the usual one, 0 the background", **AXIS),
        Row("normalize", "the old form of normalization", alone=(WARNING, "normalize: true")),
        Row("normalization", "a choice"),
        Row("class_weight", "a weight; 0 leaves the class out", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR),
        Row("pos_weight", "a weight; 0 leaves the positive term out", zero=ALLOWED, negative=ERROR, nan=ERROR,
            inf=ERROR),
        Row("focal_gamma", "0 is the plain loss", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR),
        Row("exact_ignore", "without ignore_label nothing is ignored", alone=(WARNING, "exact_ignore: true")),
    ]),

    # --- data -----------------------------------------------------------------------------------------------
    Table("DataParameter", layer("Data", "", "y", 'data_param { source: "db" backend: LMDB batch_size: 2 }'),
          "data_param", [
        SOURCE, *UNREAD_OF_DATA, BATCH, SKIP,
        Row("backend", "a choice"),
        Row("force_encoded_color", "a choice"), Row("shuffle", "a choice"), Row("skip_bad", "a choice"),
        Row("prefetch", "a batch must be ready", **SIZE), PARTIAL, BALANCE,
    ]),
    Table("DummyDataParameter", one("DummyData", "dummy_data_param", "", "", ""), "dummy_data_param", [
        Row("data_filler", "see FillerParameter", context="shape { dim: 2 }"),
        *[Row(name, "a blob may be empty", zero=ALLOWED, context="num: 1 channels: 1 height: 1 width: 1",
              alone=(ERROR, f"{name}: 1")) for name in ("num", "channels", "height", "width")],
        Row("shape", "see BlobShape"),
    ]),
    Table("HDF5DataParameter", one("HDF5Data", "hdf5_data_param", 'source: "list" batch_size: 2', "", ""),
          "hdf5_data_param", [SOURCE, BATCH, *[Row(name, "a choice") for name in (
              "shuffle", "shuffle_across_files", "partial_last_batch")]]),
    Table("HDF5OutputParameter", VECTORS + 'layer { name: "y" type: "HDF5Output" bottom: "x" bottom: "x" }',
          "hdf5_output_param", [Row("file_name", "there must be a file to write", empty=ERROR)]),
    Table("ImageDataParameter", layer("ImageData", "", "y label", 'image_data_param { source: "list" batch_size: 2 }'),
          "image_data_param", [
        SOURCE, *UNREAD_OF_DATA, BATCH, SKIP,
        Row("shuffle", "a choice"),
        Row("new_height", "0 keeps the size; one side alone is no size", zero=ALLOWED,
            alone=(ERROR, "new_height: 4")),
        Row("new_width", "0 keeps the size; one side alone is no size", zero=ALLOWED, alone=(ERROR, "new_width: 4")),
        Row("is_color", "a choice"),
        Row("root_folder", "put before each path", empty=ALLOWED), PARTIAL, BALANCE,
        Row("label_size", "0 finds it out", zero=ALLOWED, alone=(ERROR, "label_size: 3")),
        Row("skip_bad", "a choice"),
    ]),
    Table("InputParameter", one("Input", "input_param", "", "", ""), "input_param", [Row("shape", "see BlobShape")]),
    Table("MemoryDataParameter", layer("MemoryData", "", "y label", "memory_data_param { batch_size: 1 channels: 1 "
                                       "height: 1 width: 1 }"), "memory_data_param",
          [BATCH, *[Row(name, "an image has pixels", **SIZE) for name in ("channels", "height", "width")],
           Row("label_size", "0 is one number, in a blob of one axis", zero=ALLOWED)]),
    Table("WindowDataParameter", layer("WindowData", "", "y label", 'window_data_param { source: "windows" '
                                       "batch_size: 2 } transform_param { crop_size: 4 }"), "window_data_param", [
        SOURCE, Row("scale", "0 makes every window the same; below 0 it is a negative", zero=ERROR, negative=ALLOWED,
                    nan=ERROR, inf=ERROR), *UNREAD_OF_DATA[1:], BATCH,
        Row("fg_threshold", "an overlap; at 0 every window is an object", zero=ERROR, negative=ERROR, nan=ERROR,
            inf=ERROR),
        Row("bg_threshold", "an overlap; at 0 no window is background", zero=ERROR, negative=ERROR, nan=ERROR,
            inf=ERROR),
        Row("fg_fraction", "a share; 0 shows background alone", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR),
        Row("context_pad", "0 is no context", zero=ALLOWED),
        Row("crop_mode", "warp or square", empty=ERROR),
        Row("cache_images", "a choice"),
        Row("skip_bad", "a choice"),
        Row("root_folder", "put before each path", empty=ALLOWED),
    ]),

    # --- vision ---------------------------------------------------------------------------------------------
    Table("ConvolutionParameter", one("Convolution", "convolution_param", "num_output: 2 kernel_size: 3"),
          "convolution_param", [
        Row("num_output", "there must be a filter", **SIZE), BIAS_TERM,
        Row("pad", "0 is none", zero=ALLOWED),
        Row("kernel_size", "a window has pixels", zero=ERROR, alone=(ERROR, "axis: 3")),
        Row("group", "channels are divided by it", **SIZE),
        Row("stride", "a window must move on", **SIZE),
        *FILLERS,
        Row("pad_h", "0 is none", zero=ALLOWED),
        Row("pad_w", "0 is none", zero=ALLOWED),
        *[Row(name, "a window has pixels, in height and width", zero=ERROR, context="clear kernel_size",
              alone=(ERROR, f"{name}: 3")) for name in ("kernel_h", "kernel_w")],
        *[Row(name, "a window must move on, in height and width", zero=ERROR, alone=(ERROR, f"{name}: 1"))
          for name in ("stride_h", "stride_w")],
        ENGINE,
        Row("axis", "negative counts from the end; -1 leaves no axis for the kernel", zero=ALLOWED, negative=ERROR),
        Row("force_nd_im2col", "documented: the result is the same"),
        Row("dilation", "all pixels of the window would be one", **SIZE),
    ]),
    Table("CropParameter", one("Crop", "crop_param", bottoms="x x"), "crop_param", [
        Row("axis", "negative counts from the end", **AXIS), Row("offset", "0 is the beginning", zero=ALLOWED)]),
    Table("PoolingParameter", one("Pooling", "pooling_param", "kernel_size: 3"), "pooling_param", [
        Row("pool", "a choice"),
        Row("kernel_size", "a window has pixels", **SIZE),
        Row("stride", "a window must move on", **SIZE),
        Row("pad", "0 is none", zero=ALLOWED),
        *[Row(name, "a window has pixels, in height and width", zero=ERROR, context="clear kernel_size",
              alone=(ERROR, f"clear kernel_size {name}: 3")) for name in ("kernel_h", "kernel_w")],
        *[Row(name, "a window must move on, in height and width", zero=ERROR, alone=(ERROR, f"{name}: 1"))
          for name in ("stride_h", "stride_w")],
        *[Row(name, "height and width go together", zero=ERROR, alone=(ERROR, f"{name}: 1"))
          for name in ("pad_h", "pad_w")],
        ENGINE,
        Row("global_pooling", "the image is the kernel", alone=(ERROR, "global_pooling: true")),
        Row("round_mode", "with one window nothing is rounded",
            alone=(WARNING, "clear kernel_size global_pooling: true round_mode: FLOOR")),
        Row("ceil_mode", "another name of round_mode, which must not say something else",
            alone=(ERROR, "round_mode: FLOOR ceil_mode: true")),
    ]),
    Table("SPPParameter", one("SPP", "spp_param", "pyramid_height: 1"), "spp_param", [
        Row("pyramid_height", "there must be a level", **SIZE), Row("pool", "a choice"), ENGINE]),

    # --- detection -----------------------------------------------------------------------------------------
    Table("ROIPoolingParameter", one("ROIPooling", "roi_pooling_param", "pooled_h: 2 pooled_w: 3", REGIONS, "x r"),
          "roi_pooling_param", [
        *[Row(name, "a region has bins", **SIZE) for name in ("pooled_h", "pooled_w")],
        Row("spatial_scale", "-1 is for regions that are parts of the image", zero=ERROR, negative=ALLOWED, nan=ERROR,
            inf=ERROR),
        Row("pad_ratio", "0 widens nothing", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR),
        Row("pooled_size", "a region has bins; not beside pooled_h", zero=ERROR,
            context="clear pooled_h clear pooled_w pooled_size: 1 pooled_size: 1",
            alone=(ERROR, "pooled_size: 2 pooled_size: 3")),
    ]),
    Table("ProposalParameter",
          one("Proposal", "proposal_param", "ratio: 1 scale: 1", inputs(p=(1, 2, 3, 5), q=(1, 4, 3, 5), r=(1, 3)),
              "p q r"),
          "proposal_param", [
        Row("feat_stride", "all cells would be one", **SIZE),
        Row("base_size", "a box has pixels", **SIZE),
        Row("min_size", "0 leaves out none", zero=ALLOWED),
        *[Row(name, "a box has pixels, and there must be one", zero=ERROR, negative=ERROR, nan=ERROR, inf=ERROR,
              missing=(ERROR, f"clear {name}")) for name in ("ratio", "scale")],
        *[Row(name, "nothing would be put out", **SIZE) for name in ("pre_nms_topn", "post_nms_topn")],
        Row("nms_thresh", "0 leaves out all that touch; below 0 and above 1 it is no part", zero=ALLOWED,
            negative=ERROR, nan=ERROR, inf=ERROR),
    ]),
    Table("BBoxRegParameter", one("DecodeBBox", "bbox_reg_param", SPREAD, inputs(t=(3, 8), r=(3, 5)), "t r",
                                  "phase: TEST"), "bbox_reg_param", [
        Row("bbox_mean", "any number moves a box; without bbox_std it does not count", **NUMBER,
            alone=(WARNING, "clear bbox_std")),
        Row("bbox_std", "0 takes what the net says away; below 0 turns it round", zero=ERROR, negative=ERROR,
            nan=ERROR, inf=ERROR, alone=(WARNING, "clear bbox_mean")),
        Row("cls_aware", "a choice"),
    ]),
    Table("DecodeBBoxParameter", one("DecodeBBox", "decode_bbox_param", "", inputs(t=(3, 8), r=(3, 5)), "t r"),
          "decode_bbox_param", [
        Row("gt_iou_thr", "it counts with a third bottom alone", zero=WARNING, negative=WARNING, nan=ERROR, inf=ERROR,
            alone=(WARNING, "gt_iou_thr: 0.5")),
    ]),
    Table("BoxGroupOutputParameter", GROUPS, "box_group_output_param", [
        Row("fg_thr", "0 and below leaves all in", **NUMBER),
        Row("iou_thr", "0 leaves out all that touch", **NOT_BELOW_0),
        Row("nms_type", "any other name is IOU, as in the fork", empty=WARNING),
        Row("box_group_param", "see BoxGroupParameter"),
        *[Row(name, "it is divided by", **BELOW_OR_AT_0) for name in ("field_whr", "field_xyr")],
        *[Row(name, "0 is all", zero=ALLOWED) for name in ("max_nms_num", "max_post_nms_num")],
        Row("min_size", "0 and below leaves all in", **NUMBER),
    ]),
    Table("BoxGroupParameter", GROUPS, "box_group_output_param.box_group_param", [
        *[Row(name, "a box has pixels", **SIZE) for name in ("field_h", "field_w")],
        Row("stride", "all cells would be one", **SIZE),
    ]),
    Table("FrcnnOutputParameter",
          one("FrcnnOutput", "frcnn_output_param", "", inputs(p=(3, 2), t=(3, 8), s=(1, 2)) + layer(
              "DummyData", "", "r", "dummy_data_param { shape { dim: 3 dim: 5 } }"), "p t r s"),
          "frcnn_output_param", [
        Row("conf_thr", "0 and below leaves all in", **NUMBER),
        Row("iou_thr", "0 leaves out all that touch", **NOT_BELOW_0),
        Row("nms_type", "any other name is IOU, as in the fork", empty=WARNING),
        Row("max_det_num", "0 is all", zero=ALLOWED),
        Row("save_output_param", "documented: no files are written"),
    ]),
    Table("ScaleRouteParameter", one("ScaleRoute", "scale_route_param", "", inputs(r=(3, 5)), "r"),
          "scale_route_param", [
        *[Row(name, "a size is above 0", **BELOW_OR_AT_0) for name in ("low_scale", "high_scale")],
    ]),
    Table("PSROIPoolingParameter",
          one("PSROIPooling", "psroi_pooling_param", "spatial_scale: 1 output_dim: 3 group_size: 1", REGIONS, "x r"),
          "psroi_pooling_param", [
        Row("spatial_scale", "all regions would be one point", zero=ERROR, negative=ERROR, nan=ERROR, inf=ERROR),
        Row("output_dim", "a top has channels", zero=ERROR, negative=ERROR),
        Row("group_size", "a region has bins", zero=ERROR, negative=ERROR),
    ]),

    # --- common, recurrent, normalization ---------------------------------------------------------------------
    Table("RecurrentParameter", one("RNN", "recurrent_param", "num_output: 2", inputs(x=(3, 2, 5), c=(3, 2)), "x c"),
          "recurrent_param", [
        Row("num_output", "a state has numbers", **SIZE), Row("weight_filler", "see FillerParameter"),
        Row("bias_filler", "see FillerParameter"), Row("debug_info", "a choice"),
        Row("expose_hidden", "it takes a bottom more", alone=(ALLOWED, "expose_hidden: false"))]),
    Table("DropoutParameter", one("Dropout", "dropout_param"), "dropout_param", [
        Row("dropout_ratio", "a chance below 1", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR),
        Row("scale_train", "a choice"), Row("sample_weights_test", "a choice")]),
    Table("EmbedParameter", one("Embed", "embed_param", "num_output: 2 input_dim: 3", LABELS, "label"), "embed_param", [
        Row("num_output", "a vector has numbers", **SIZE), Row("input_dim", "a table has rows", **SIZE), BIAS_TERM,
        *FILLERS]),
    Table("InnerProductParameter", one("InnerProduct", "inner_product_param", "num_output: 2"), "inner_product_param", [
        Row("num_output", "there must be an output", **SIZE), BIAS_TERM, *FILLERS, AXES[0],
        Row("transpose", "a choice")]),
    Table("BNParameter", one("BN", "bn_param"), "bn_param", [
        *[Row(name, "see FillerParameter") for name in ("scale_filler", "shift_filler", "slope_filler", "bias_filler")],
        Row("bn_mode", "a choice"), ENGINE,
        Row("momentum", "a share; 0 remembers the last batch alone", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR,
            alone=(WARNING, "frozen: true momentum: 0.5")),
        Row("eps", NO_EPS, zero=WARNING, negative=ERROR, nan=ERROR, inf=ERROR), Row("frozen", "a choice"),
        Row("var_eps", NO_EPS, zero=WARNING, negative=ERROR, nan=ERROR, inf=ERROR), Row("moving_average", "a choice"),
        Row("decay", "a share; 0 remembers nothing", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR),
        Row("axis", "1 or 2", zero=ERROR, negative=ERROR, nan=ERROR, inf=ERROR)]),
    Table("BatchNormParameter", one("BatchNorm", "batch_norm_param"), "batch_norm_param", [
        Row("use_global_stats", "a choice"),
        Row("moving_average_fraction", "a share; 0 remembers the last batch alone", zero=ALLOWED, negative=ERROR,
            nan=ERROR, inf=ERROR, alone=(WARNING, "use_global_stats: true moving_average_fraction: 0.5")),
        Row("eps", NO_EPS, zero=WARNING, negative=ERROR, nan=ERROR, inf=ERROR),
        *[Row(name, "a choice") for name in ("scale_bias", "use_weight_bias", "bias_term",
                                             "update_global_stats")],
        *[Row(name, "see FillerParameter") for name in ("scale_filler", "bias_filler", "filler")],
        Row("stats_batch_size", "0 is the whole batch", zero=ALLOWED)]),
    Table("LRNParameter", one("LRN", "lrn_param"), "lrn_param", [
        Row("local_size", "a window has a middle", **SIZE),
        Row("alpha", "0 leaves the values; below 0 it makes powers of negative numbers", zero=ALLOWED, negative=ERROR,
            nan=ERROR, inf=ERROR),
        Row("beta", "0 leaves the values; below 0 they grow", **NUMBER),
        Row("norm_region", "a choice"),
        Row("k", "0 divides 0 by 0 where all neighbours are 0; below 0 it makes powers of negative numbers",
            zero=WARNING, negative=ERROR, nan=ERROR, inf=ERROR,
            alone=(WARNING, "norm_region: WITHIN_CHANNEL k: 2")),
        ENGINE]),
    Table("MVNParameter", one("MVN", "mvn_param"), "mvn_param", [
        Row("normalize_variance", "a choice"), Row("across_channels", "a choice"),
        Row("eps", NO_EPS, zero=WARNING, negative=ERROR, nan=ERROR, inf=ERROR,
            alone=(WARNING, "normalize_variance: false eps: 0.1"))]),

    # --- activation -------------------------------------------------------------------------------------------
    Table("BiasParameter", one("Bias", "bias_param"), "bias_param", [*AXES, Row("filler", "see FillerParameter")]),
    Table("ClipParameter", one("Clip", "clip_param", "min: -2 max: 2"), "clip_param", [
        Row("min", "above max Caffe makes every number min; -inf is no limit", zero=ALLOWED, negative=ALLOWED,
            nan=ERROR, inf=WARNING, alone=(WARNING, "clear min min: 3")),
        Row("max", "below min Caffe makes every number min; inf is no limit", **{**NUMBER, "inf": ALLOWED},
            alone=(WARNING, "clear max max: -3"))]),
    Table("ELUParameter", one("ELU", "elu_param"), "elu_param", [Row("alpha", "0 is a ReLU", **NUMBER)]),
    Table("ExpParameter", one("Exp", "exp_param"), "exp_param", [
        Row("base", "-1 is e", zero=ERROR, negative=ALLOWED, nan=ERROR, inf=ERROR),
        Row("scale", "0 makes a constant", **NUMBER), Row("shift", "any number", **NUMBER)]),
    Table("LogParameter", one("Log", "log_param"), "log_param", [
        Row("base", "-1 is e", zero=ERROR, negative=ALLOWED, nan=ERROR, inf=ERROR),
        Row("scale", "0 makes a constant", **NUMBER), Row("shift", "any number", **NUMBER)]),
    Table("PowerParameter", one("Power", "power_param"), "power_param", [
        Row("power", "0 makes a constant", **NUMBER), Row("scale", "0 makes a constant", **NUMBER),
        Row("shift", "any number", **NUMBER)]),
    Table("PReLUParameter", one("PReLU", "prelu_param"), "prelu_param", [
        Row("filler", "see FillerParameter"), Row("channel_shared", "a choice")]),
    Table("ReLUParameter", one("ReLU", "relu_param"), "relu_param", [
        Row("negative_slope", "-1 is the absolute value", **NUMBER), ENGINE]),
    Table("ScaleParameter", one("Scale", "scale_param"), "scale_param", [
        *AXES, Row("filler", "see FillerParameter"), Row("bias_term", "a choice"),
        Row("bias_filler", "see FillerParameter", alone=(WARNING, "bias_filler { value: 1 }"))]),
    Table("SigmoidParameter", one("Sigmoid", "sigmoid_param"), "sigmoid_param", [ENGINE]),
    Table("SwishParameter", one("Swish", "swish_param"), "swish_param", [Row("beta", "0 halves", **NUMBER)]),
    Table("TanHParameter", one("TanH", "tanh_param"), "tanh_param", [ENGINE]),
    Table("ThresholdParameter", one("Threshold", "threshold_param"), "threshold_param", [
        Row("threshold", "any number", **NUMBER)]),

    # --- utility ----------------------------------------------------------------------------------------------
    Table("ArgMaxParameter", one("ArgMax", "argmax_param"), "argmax_param", [
        Row("out_max_val", "a choice"), Row("top_k", "there must be an answer", **SIZE), AXES[0]]),
    Table("ConcatParameter", one("Concat", "concat_param", bottoms="x x"), "concat_param", [
        Row("concat_dim", "the old form of axis", zero=WARNING, alone=(ERROR, "concat_dim: 1 axis: 1")), AXES[0]]),
    Table("EltwiseParameter", one("Eltwise", "eltwise_param", bottoms="x x"), "eltwise_param", [
        Row("operation", "a choice"),
        Row("coeff", "a factor", **NUMBER, context="coeff: 1 coeff: 1",
            alone=(WARNING, "operation: MAX coeff: 1 coeff: 1")),
        Row("stable_prod_grad", "of products alone", alone=(WARNING, "stable_prod_grad: false"))]),
    Table("FlattenParameter", one("Flatten", "flatten_param"), "flatten_param", [
        AXES[0], Row("end_axis", "one before axis, as here, puts in an axis of size 1, as in Caffe", **AXIS)]),
    Table("ParameterParameter", one("Parameter", "parameter_param", "shape { dim: 2 }", "", ""), "parameter_param", [
        Row("shape", "see BlobShape")]),
    Table("PythonParameter", one("Python", "python_param", 'module: "of_the_user" layer: "Same"'), "python_param", [
        Row("module", "there is none", empty=ERROR), Row("layer", "there is none", empty=ERROR),
        Row("param_str", "what its author likes", empty=ALLOWED),
        Row("share_in_parallel", "documented: of several GPUs")]),
    Table("ReductionParameter", one("Reduction", "reduction_param"), "reduction_param", [
        Row("operation", "a choice"), AXES[0], Row("coeff", "a factor", **NUMBER)]),
    Table("ReshapeParameter", one("Reshape", "reshape_param", "shape { dim: -1 }"), "reshape_param", [
        Row("shape", "see BlobShape", missing=(ERROR, "clear shape")), AXES[0],
        Row("num_axes", "0 puts new axes in, -1 replaces all", **AXIS)]),
    Table("SliceParameter", one("Slice", "slice_param", net=inputs(x=(2, 4)), bottoms="x").replace(
        'top: "y"', 'top: "y" top: "z"'), "slice_param", [
        Row("slice_dim", "the old form of axis", zero=WARNING, alone=(ERROR, "slice_dim: 1 axis: 1")),
        Row("slice_point", "a part has numbers", **SIZE), AXES[0]]),
    Table("SoftmaxParameter", one("Softmax", "softmax_param"), "softmax_param", [
        ENGINE, AXES[0], Row("scaling_temperature", "scores are divided by it", zero=ERROR, negative=ERROR, nan=ERROR,
                             inf=ERROR)]),
    Table("TileParameter", one("Tile", "tile_param", "tiles: 2"), "tile_param", [
        AXES[0], Row("tiles", "there must be a copy", zero=ERROR, negative=ERROR, missing=(ERROR, "clear tiles"))]),

    # --- detection ------------------------------------------------------------------------------------------------
    Table("PermuteParameter", one("Permute", "permute_param"), "permute_param", [
        Row("order", "each axis once", zero=ALLOWED, alone=(ERROR, "order: 1 order: 1"))]),
    Table("NormalizeParameter", one("Normalize", "norm_param"), "norm_param", [
        Row("across_spatial", "a choice"), Row("channel_shared", "a choice"),
        Row("scale_filler", "see FillerParameter"),
        Row("eps", "0 divides 0 by 0 where a vector is all 0; below 0 it makes roots of negative numbers", zero=WARNING,
            negative=ERROR, nan=ERROR, inf=ERROR)]),
    Table("FaceNormalizeParameter", one("Normalize", "normalize_param"), "normalize_param", [
        Row("normalize_type", "L1 or L2", empty=ERROR), Row("fix_gradient", "a choice"),
        Row("bp_norm", "needs the second top", alone=(WARNING, "bp_norm: true"))]),
    Table("PriorBoxParameter", one("PriorBox", "prior_box_param", "min_size: 3", bottoms="x x"), "prior_box_param", [
        Row("min_size", "at least a pixel", missing=(ERROR, "clear min_size"), **BELOW_OR_AT_0),
        Row("max_size", "larger than its min_size", alone=(ERROR, "max_size: 4 max_size: 5"), **BELOW_OR_AT_0),
        Row("aspect_ratio", "a ratio of sides", **BELOW_OR_AT_0),
        Row("flip", "there must be a ratio", alone=(WARNING, "flip: true")),
        Row("clip", "a choice"),
        Row("variance", "a divisor in training; one, or four", alone=(ERROR, "variance: 1 variance: 1"),
            **BELOW_OR_AT_0),
        Row("img_size", "0 is not given", zero=ALLOWED, alone=(ERROR, "img_size: 5 img_h: 5 img_w: 5")),
        Row("img_h", "0 is not given", zero=ALLOWED, context="img_w: 5", alone=(ERROR, "img_h: 5")),
        Row("img_w", "0 is not given", zero=ALLOWED, context="img_h: 5", alone=(ERROR, "img_w: 5")),
        Row("step", "0 is not given, as in Caffe", alone=(ERROR, "step: 5 step_h: 5 step_w: 5"), **NOT_BELOW_0),
        Row("step_h", "0 is not given, as in Caffe", context="step_w: 5", alone=(ERROR, "step_h: 5"), **NOT_BELOW_0),
        Row("step_w", "0 is not given, as in Caffe", context="step_h: 5", alone=(ERROR, "step_w: 5"), **NOT_BELOW_0),
        Row("offset", "any place", alone=(WARNING, "offset: 0 offset_h: 1 offset_w: 1"), **NUMBER),
        Row("offset_h", "any place", context="offset_w: 1", alone=(ERROR, "offset_h: 1"), **NUMBER),
        Row("offset_w", "any place", context="offset_h: 1", alone=(ERROR, "offset_w: 1"), **NUMBER),
        Row("face_boxes", "a choice")]),
    Table("DetectionOutputParameter", FOUND, "detection_output_param", [
        Row("num_classes", "there must be a class", zero=ERROR, missing=(ERROR, "clear num_classes")),
        Row("share_location", "a choice"),
        Row("background_label_id", "below 0 there is no background", zero=ALLOWED, negative=ALLOWED),
        Row("nms_param", "see NonMaximumSuppressionParameter"),
        Row("save_output_param", "minicaffe writes no files of detections",
            alone=(WARNING, 'save_output_param { output_directory: "found" }')),
        Row("code_type", "a choice"),
        Row("keep_top_k", "below 0 all are kept", zero=WARNING, negative=ALLOWED),
        Row("variance_encoded_in_target", "a choice"),
        Row("confidence_threshold", "scores may be any numbers", **NUMBER),
        Row("visualize", "documented: minicaffe opens no window"),
        Row("visualize_threshold", "documented: minicaffe opens no window", **NUMBER),
        Row("save_file", "documented: minicaffe writes no video", empty=ALLOWED),
        Row("objectness_score", "scores may be any numbers", **NUMBER),
        Row("output_logits", "of jolibrain's fork: a bottom and a top more", alone=(ERROR, "output_logits: true"))]),
    Table("NonMaximumSuppressionParameter", FOUND, "detection_output_param.nms_param", [
        Row("nms_threshold", "at 0 boxes may only touch", **NOT_BELOW_0),
        Row("top_k", "below 0 all are looked at", zero=WARNING, negative=ALLOWED),
        Row("eta", "a factor that makes the threshold smaller", **BELOW_OR_AT_0),
        Row("soft_nms", "a choice"),
        Row("theta", "a divisor of soft_nms", context="soft_nms: true", alone=(WARNING, "theta: 2"), **BELOW_OR_AT_0)]),

    # --- losses -------------------------------------------------------------------------------------------------
    Table("AccuracyParameter", one("Accuracy", "accuracy_param", "", VECTORS + LABELS, "x label"), "accuracy_param", [
        Row("top_k", "nothing would be right", **SIZE),
        Row("axis", "negative counts from the end; at 0 the labels do not fit", zero=ERROR, negative=ALLOWED),
        Row("ignore_label", "any label", **AXIS)]),
    Table("ContrastiveLossParameter", one("ContrastiveLoss", "contrastive_loss_param", "",
                                          inputs(x=(4, 5), z=(4, 5)) + LABELS, "x z label"), "contrastive_loss_param", [
        Row("margin", "a distance; at 0 nothing is pushed apart", zero=WARNING, negative=ERROR, nan=ERROR, inf=ERROR),
        Row("legacy_version", "a choice")]),
    Table("SmoothL1LossParameter", one("SmoothL1Loss", "smooth_l1_loss_param", "", inputs(x=(4, 5), t=(4, 5)), "x t"),
          "smooth_l1_loss_param", [
        Row("sigma", "its square divides", zero=ERROR, negative=ERROR, nan=ERROR, inf=ERROR)]),
    Table("HingeLossParameter", one("HingeLoss", "hinge_loss_param", "", VECTORS + LABELS, "x label"),
          "hinge_loss_param", [Row("norm", "a choice")]),
    Table("InfogainLossParameter", one("InfogainLoss", "infogain_loss_param", "", inputs(x=(4, 5), h=(5, 5)) + LABELS,
                                       "x label h"), "infogain_loss_param", [
        Row("source", "not beside the third bottom", empty=ERROR),
        Row("axis", "negative counts from the end; at 0 the labels do not fit", zero=ERROR, negative=ALLOWED)]),
]
