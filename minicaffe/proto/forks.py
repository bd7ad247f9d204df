"""What is known of Caffe's forks beyond the schema: who has a layer type, and which fields are left aside.

protos/caffe.proto has the fields of the forks, numbered from 5800 or as the forks number them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from minicaffe.proto import LayerParameter

FIRST_NUMBER = 5800  # from here on caffe.proto numbers fields and enum values that forks have added to BVLC's messages
_LAST_OF_BVLC = 148  # the last field of LayerParameter that BVLC has

SSD = "the SSD fork"
RFCN = "the R-FCN fork"
CASCADE = "the cascade R-CNN fork"
SEGNET = "the SegNet fork"
DEEPLAB = "the DeepLab and PSPNet forks"
FLOWNET = "the FlowNet fork"
NVIDIA = "NVIDIA's fork"
INTEL = "Intel's fork"
JOLIBRAIN = "jolibrain's fork"
FACES = "the face recognition forks"
YOLO = "the YOLO forks"
TSN = "yjxiong's fork"
C3D = "the C3D fork"
CTPN = "the CTPN fork"
CRNN = "the CRNN fork"
CRFRNN = "the CRF-RNN fork"
NCNN = "ncnn (not Caffe)"
MYCAFFE = "MyCaffe"

# How a fork computes, which changes no number here, or only its training. They are read, and have no effect.
LEFT_ASIDE = frozenset({
    "engine", "quantization_param", "split_param", "mn_grad_compress_param", "conv_algorithm", "fuse", "per_fla_fuse",
    "cudnn_flavor", "cudnn_convolution_algo_seeker", "conv_algos_override", "use_gpu_transform", "forward_packing",
    "threads", "parser_threads", "cache", "precache", "dataset_share_per_node", "display", "show_data", "random_seed",
})

# Fields of single forks that the schema does not have.
FORK_FIELDS = {
    "data_temporal_param": MYCAFFE,
    "use_imagedb_mean": MYCAFFE,
    "color_order": MYCAFFE,
    "large_margin_inner_product_param": FACES,
    "triplet_loss_param": FACES,
    "multi_stage_meanfield_param": CRFRNN,
}

_TYPES = {
    SSD: "AnnotatedData DetectionEvaluate Grouping MultiBoxLoss ParseEvaluate ParseOutput UnPooling VideoData",
    RFCN: "BoxAnnotatorOHEM SmoothL1LossOHEM SoftmaxWithLossOHEM",
    CASCADE: "DetectionData DetectionGroupAccuracy DetectionGroupLoss EvalData HardMining ProposalTarget",
    "the MS-CNN fork": "BboxAccuracy BoxOutput Detection DetectionAccuracy ImageGtData SoftmaxWithWeightedLoss "
                       "WindowPedData",
    "the FPN fork": "Conadd DeformableConvolution",
    SEGNET: "DenseImageData",
    DEEPLAB: "AdaptiveBiasChannel BiasChannel DenseCRF DomainTransform DomainTransformForwardOnly ImageSegData MatRead "
             "MatWrite SegAccuracy SpatialProduct UniqueLabel",
    CRFRNN: "MultiStageMeanfield",
    FLOWNET: "Accum BlackAugmentation ChannelNorm Correlation Correlation1D CustomData DataAugmentation DisparityData "
             "Downsample FLOReader FLOWriter FloatReader FloatWriter FlowAugmentation FlowWarp "
             "GenerateAugmentationParameters ImgReader ImgWriter L1Loss LpqLoss Mean NegReLU PFMWriter Resample",
    NVIDIA: "DetectNetTransformation TRT",
    INTEL: "MnActivation SpatialDropout",
    JOLIBRAIN: "BroadcastMul CrossEntropyLoss DiceCoefLoss FocalLoss MemorySparseData MultiBoxFocalLoss "
               "MultiLabelAccuracy MultiLabelSigmoidLoss SeLU SeLUDropout SeLu SeLuDropout SoftmaxWithInfogainLoss "
               "SparseData SparseInnerProduct",
    FACES: "CenterLoss LabelSpecificAdd LargeMarginInnerProduct MarginInnerProduct TripletLoss",
    "happynear's fork": "Arccos BatchContrastiveLoss ChannelScale ConfidencePenaltyLoss CorrelationLoss Cosine "
                        "EltwiseAffine FCNAccuracy FCNData FeatureDecayLoss Flip GeneralContrastiveLoss "
                        "GeneralTripletLoss GlobalLSEMargin Gram Hotspot InnerDistance Insanity LabelSpecificAffine "
                        "LabelSpecificHardMargin LabelSpecificMargin LabelSpecificRescale LabelSpecificStatistics "
                        "Local MovingNormalize MultiLabelImageData NCALoss Noise Pairwise PredictBox "
                        "RadialRemovalMargin Resize Slope SoftContrastiveLoss SoftTruncation SubRegion "
                        "TrainableData Transformer Truncation",
    YOLO: "AssistedExcitation BoxData DetectionLoss EvalDetection GaussianYolov3 LaneData RegionLoss "
          "SegmentationEvaluate Yolov3 YoloSeg",
    "the Ristretto fork": "ConvolutionRistretto DeconvolutionRistretto FcRistretto LRNRistretto",
    TSN: "BatchReduction Gather Scatter SegData SyncBN VideoDataTSN",
    "Lisa Anne Hendricks' fork": "Bilinear CompactBilinear L2Normalize Sample Scalar SignedSqrt SoftmaxPerInstLoss",
    "the recurrent fork of junhyukoh": "Im2Windows Permutation",
    C3D: "BlackHole Convolution3D Deconvolution3D Pooling3D VideoSegmentationData VoxelSoftmaxLoss",
    CRNN: "CtcLoss LabelsequenceAccuracy WarpCTCLoss",
    "the OpenCL branch of BVLC's": "Affinity ConnectedComponent LibDNNConvolution LibDNNPooling MOE MalisLoss "
                                   "MergeCrop Quantizer",
    "an experimental branch of BVLC's": "AccuracyRegression LRNMap",
    "pl8787's experiments": "ColinearConvolution",
    NCNN: "BinaryOp ExpandDims HardSigmoid HardSwish InstanceNorm Packing Padding PixelShuffle Squeeze UnaryOp",
}
FORK_OF_TYPE = {name: fork for fork, names in _TYPES.items() for name in names.split()}
_IN_ANY_CAPITALS = {name.lower(): fork for name, fork in FORK_OF_TYPE.items()}

_CURES = {
    "blobs_lr": "a field of old `layers`; in a `layer` it is param { lr_mult: 1 }",
    "relu": "Intel's fork applies a ReLU to the top: a ReLU layer after this one does the same",
    "fusion_type": "Intel's fork adds a second bottom to the top: an Eltwise layer after this one does the same",
    "normalization": "PRE_FIXED belongs to the R-FCN fork: normalization: NONE and a loss_weight of 1 / "
                     "pre_fixed_normalizer do the same",
    "resize_param": "the SSD fork resizes images: resize_shorter is minicaffe's own field for that",
}

_DEPTHWISE = re.compile(r"depth_?wise|^conv\w*dw|dw_?conv", re.IGNORECASE)


def fork_type_hint(layer_type: str) -> str:
    """Return a hint that says what to do about a fork's layer type; '' for other types.

    It names Caffe's own types that can stand instead, or else the fork that has the type.
    """
    if _DEPTHWISE.search(layer_type):
        return "a depthwise convolution is Convolution with group: <channels>, and num_output a multiple of it"
    fork = FORK_OF_TYPE.get(layer_type) or _IN_ANY_CAPITALS.get(layer_type.lower())
    return f"{layer_type!r} belongs to {fork}; Caffe itself has no such type" if fork else ""


def fork_hint(field: str) -> str:
    """Return a hint that names the fork that has a field, or what Caffe has instead; '' if neither is known."""
    if field in _CURES:
        return _CURES[field]
    fork = FORK_FIELDS.get(field)
    return f"{field!r} belongs to {fork}; Caffe itself has no such field" if fork else ""


def is_of_fork(field: Any) -> bool:
    """Return whether a fork has added a field (a descriptor) to a message of BVLC's; its number says so."""
    number, outer = field.number, field.containing_type.name
    return bool(number >= FIRST_NUMBER or (outer == "LayerParameter" and _LAST_OF_BVLC < number < 5700))


def is_added(outer: str, field: Any) -> bool:
    """Return whether a fork has added a field (a descriptor) to a message of BVLC's, that of LayerParameter.`outer`."""
    return bool(field.number >= FIRST_NUMBER
                and LayerParameter.DESCRIPTOR.fields_by_name[outer].number <= _LAST_OF_BVLC)


def added_fields(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield each field of a fork that a LayerParameter sets in a message of BVLC's: its path and its descriptor.

    Those that are left aside, and those that are set to their default, change nothing and are not among them. A value
    that a fork has added to an enum of BVLC's counts as well; the descriptor is that of BVLC's field then.
    """
    for outer, message in layer.ListFields():
        if not outer.name.endswith("_param") or outer.number > _LAST_OF_BVLC:
            continue
        for field, value in message.ListFields():
            if field.name in LEFT_ASIDE:
                continue
            if field.number >= FIRST_NUMBER and not (field.has_default_value and value == field.default_value):
                yield f"{outer.name}.{field.name}", field
            elif field.enum_type and isinstance(value, int) and value >= FIRST_NUMBER:
                yield f"{outer.name}.{field.name}: {field.enum_type.values_by_number[value].name}", field
