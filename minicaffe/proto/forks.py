"""Fields and layer types that forks of Caffe have added. An error names the fork that one comes from."""

from __future__ import annotations

import re

SSD = "the SSD fork"
FAST_RCNN = "the Fast R-CNN fork"
RFCN = "the R-FCN fork"
SEGNET = "the SegNet fork"
DEEPLAB = "the DeepLab and PSPNet forks"
FLOWNET = "the FlowNet fork"
NVIDIA = "NVIDIA's fork"
FACES = "the face recognition forks"

FORK_FIELDS = {
    "annotated_data_param": SSD,
    "detection_evaluate_param": SSD,
    "detection_output_param": SSD,
    "distort_param": SSD,
    "emit_constraint": SSD,
    "eval_type": SSD,
    "expand_param": SSD,
    "multibox_loss_param": SSD,
    "noise_param": SSD,
    "norm_param": SSD,
    "permute_param": SSD,
    "prior_box_param": SSD,
    "resize_param": SSD,
    "video_data_param": SSD,
    "roi_pooling_param": FAST_RCNN,
    "scale_train": FAST_RCNN,
    "smooth_l1_loss_param": FAST_RCNN,
    "box_annotator_ohem_param": RFCN,
    "psroi_pooling_param": RFCN,
    "dense_image_data_param": SEGNET,
    "upsample_param": SEGNET,
    "data_temporal_param": "MyCaffe",
    "use_imagedb_mean": "MyCaffe",
    "batch_reduction_param": "yjxiong's fork",
    "video_param": "yjxiong's fork",
    "multi_stage_meanfield_param": "the CRF-RNN fork",
    "interp_param": DEEPLAB,
    "densecrf_param": DEEPLAB,
    "mat_read_param": DEEPLAB,
    "seg_accuracy_param": DEEPLAB,
    "augmentation_param": FLOWNET,
    "correlation_param": FLOWNET,
    "flow_warp_param": FLOWNET,
    "resample_param": FLOWNET,
    "detectnet_groundtruth_param": NVIDIA,
    "detectnet_augmentation_param": NVIDIA,
    "default_forward_type": NVIDIA,
    "default_backward_type": NVIDIA,
    "forward_type": NVIDIA,
    "backward_type": NVIDIA,
    "center_loss_param": FACES,
    "large_margin_inner_product_param": FACES,
    "margin_inner_product_param": FACES,
    "triplet_loss_param": FACES,
    "shuffle_channel_param": "the ShuffleNet forks",
    "focal_loss_param": "the focal loss forks",
    "reorg_param": "the YOLO forks",
    "relu6_param": "the MobileNet forks",
}

# Layer types whose field has another name, or that have none. The others are called like their field.
_FORK_TYPES = {
    "Axpy": "the SENet fork",
    "Normalize": SSD,
    "Proposal": "forks of Faster R-CNN",
}

_CURES = {
    "blobs_lr": "a field of old `layers`; in a `layer` it is param { lr_mult: 1 }",
    "bn_param": "a BN layer of the SegNet, ENet or yjxiong fork; in Caffe it is BatchNorm followed by Scale",
}

_DEPTHWISE = re.compile(r"depth_?wise|^conv\w*dw|dw_?conv", re.IGNORECASE)


def fork_type_hint(layer_type: str) -> str:
    """Return a hint that says what to do about a fork's layer type; '' for other types.

    It names Caffe's own types that can stand instead, or else the fork that has the type.
    """
    if _DEPTHWISE.search(layer_type):
        return "a depthwise convolution is Convolution with group: <channels>, and num_output a multiple of it"
    if layer_type.upper() == "BN":
        return _CURES["bn_param"]
    fork = _FORK_TYPES.get(layer_type) or _fork_of_field(layer_type)
    return f"{layer_type!r} belongs to {fork}; Caffe itself has no such type. A layer of your own can stand for it: " \
           "see examples/custom_layer" if fork else ""


def _fork_of_field(layer_type: str) -> str:
    """Return the fork whose field is called like a layer type: 'smooth_l1_loss_param' and 'SmoothL1Loss'; else ''."""
    wanted = f"{layer_type.lower()}param"
    return next((fork for field, fork in FORK_FIELDS.items() if field.replace("_", "") == wanted), "")


def fork_hint(field: str) -> str:
    """Return a hint that names the fork that has a field, or what Caffe has instead; '' if neither is known."""
    if field in _CURES:
        return _CURES[field]
    fork = FORK_FIELDS.get(field)
    return f"{field!r} belongs to {fork}; Caffe itself has no such field" if fork else ""
