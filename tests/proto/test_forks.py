"""What forks of Caffe have added: it is read, and then used, left aside or refused."""

import re
from pathlib import Path

import numpy as np
import pytest
from user_types import forgotten

from minicaffe import Net
from minicaffe.errors import DataError, LayerError
from minicaffe.io.blobs import blob_to_array
from minicaffe.io.wire import DamagedError
from minicaffe.layer import Layer, register
from minicaffe.layer.registry import registered_types
from minicaffe.proto import BlobProto, LayerParameter, NetParameter, V1LayerParameter, forks, text
from minicaffe.solvers import fork_fields

DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 3, 5, 7] } } }\n'
NETS = {  # texts as the forks' files have them
    "PriorBox": "prior_box_param { min_size: 30 max_size: 60 aspect_ratio: 2 flip: true clip: false variance: 0.1 "
                "variance: 0.2 step: 8 offset: 0.5 }",
    "DetectionOutput": "detection_output_param { num_classes: 21 share_location: true nms_param { nms_threshold: 0.45 "
                       "top_k: 400 } code_type: CENTER_SIZE keep_top_k: 200 save_output_param { "
                       'output_format: "VOC" } objectness_score: 0.01 }',
    "MultiBoxLoss": "multibox_loss_param { loc_loss_type: SMOOTH_L1 mining_type: MAX_NEGATIVE code_type: CORNER }",
    "AnnotatedData": "annotated_data_param { batch_sampler { sampler { min_scale: 0.3 } max_trials: 50 } } "
                     "transform_param { resize_param { resize_mode: WARP height: 300 interp_mode: LINEAR "
                     "interp_mode: AREA } distort_param { hue_prob: 0.5 } emit_constraint { emit_type: CENTER } }",
    "Normalize": "norm_param { across_spatial: false scale_filler { value: 20 } channel_shared: false }",
    "ROIPooling": "roi_pooling_param { pooled_w: 7 pooled_h: 7 spatial_scale: 0.0625 }",
    "PSROIPooling": "psroi_pooling_param { spatial_scale: 0.0625 output_dim: 21 group_size: 7 }",
    "BN": "bn_param { slope_filler { value: 1 } frozen: true } ",
    "Upsample": "upsample_param { scale: 2 upsample_h: 45 pad_out_h: true }",
    "Interp": "interp_param { shrink_factor: 2 zoom_factor: 3 pad_beg: -1 }",
    "Yolov3DetectionOutput": "yolov3_detection_output_param { biases: 10 mask: 3 mask: 4 anchors_scale: 32 }",
    "BoxGroupOutput": "box_group_output_param { max_nms_num: 2000 nms_type: \"IOU\" } bbox_reg_param { bbox_std: 0.1 }",
    "Correlation": "correlation_param { pad: 20 kernel_size: 1 correlation_type: MULTIPLY }",
    "VideoData": 'video_data_param { source: "a" modality: FLOW num_segments: 3 } transform_param { multi_scale: true '
                 "scale_ratios: [1, .875] }",
}
CONVOLUTION = 'layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 ' \
              'kernel_size: 1 %s } %s }\n'


def net_of(source, **options):
    return Net(text.parse(DATA + source, NetParameter()), **options)


@pytest.mark.parametrize("name", NETS)
def test_a_layer_of_a_fork_is_read_and_written(name):
    """Nothing of it is lost on the way through a text and a binary file."""
    layer = text.parse(f'type: "{name}" {NETS[name]}', LayerParameter())

    assert text.parse(text.format(layer), LayerParameter()) == layer
    assert LayerParameter.FromString(layer.SerializeToString()) == layer
    assert len(layer.ListFields()) > 1


def test_numbers_below_the_forks_are_of_bvlc_or_ours():
    """In a message of BVLC's, a fork's field never has a number that BVLC may use."""
    for field in LayerParameter.DESCRIPTOR.fields:
        if field.message_type and field.number <= 148:
            low = [one.number for one in field.message_type.fields if one.number < 5700]
            assert max(low, default=0) < 100, field.name
    assert V1LayerParameter.LayerType.Value("LRN_MAP") >= forks.FIRST_NUMBER


def test_what_says_how_to_compute_is_left_aside():
    """A net with engines, number types and 8 bits is the net without them."""
    plain = net_of(CONVOLUTION % ("", ""))
    net = net_of('engine: "MKLDNN" default_forward_type: FLOAT16\n' + CONVOLUTION % (
        'engine: MKL2017 conv_algorithm: "auto" relu: false',
        'engine: "MKLDNN" quantization_param { bw_layer_in: 8 } forward_type: FLOAT16'))

    assert [blob.shape for blob in net.blobs.values()] == [blob.shape for blob in plain.blobs.values()]


def test_what_changes_the_numbers_is_refused():
    """The error names the field and the cure, and --permissive goes on without it."""
    with pytest.raises(LayerError, match=r"layer 'c' .*convolution_param.fusion_type is set, but .* does not "
                                         "read") as caught:
        net_of(CONVOLUTION % ("fusion_type: SUM_FUSION", ""))
    assert "an Eltwise layer after this one" in caught.value.hint

    with pytest.warns(UserWarning, match="convolution_param.fusion_type is set"):
        net_of(CONVOLUTION % ("fusion_type: SUM_FUSION", ""), permissive=True)


@pytest.mark.parametrize("permissive", [False, True])
def test_an_added_enum_value_is_refused(permissive):
    """No layer can go on without the value of its enum."""
    sum_of_two = 'layer { name: "e" type: "Eltwise" bottom: "data" bottom: "data" top: "e" ' \
                 "eltwise_param { operation: STOCHASTIC_SUM } }"

    with pytest.raises(LayerError, match="eltwise_param.operation: STOCHASTIC_SUM is set"):
        net_of(sum_of_two, permissive=permissive)


def test_a_layer_says_which_fields_of_forks_it_reads():
    """A field in `fork_fields` is handed over, and any other is refused."""

    layer = 'layer { name: "f" type: "ForkReader" bottom: "data" top: "f" dropout_param { %s: %s } }'
    with forgotten():

        @register("ForkReader")
        class ForkReaderLayer(Layer):
            message = "dropout_param"
            fork_fields = ("scale_train",)

            def reshape(self, bottom, top):
                top[0].reshape_like(bottom[0])

        assert net_of(layer % ("scale_train", "false")).layers[-1].param.scale_train is False
        with pytest.raises(LayerError, match="sample_weights_test"):
            net_of(layer % ("sample_weights_test", "true"))


def test_a_type_of_a_fork_is_named():
    """An unknown type that a fork has is an error that names the fork, in old nets, too."""
    old = 'input: "data" input_shape { dim: [2, 3] }\nlayers { name: "n" type: LRN_MAP bottom: "data" top: "n" }'
    with pytest.raises(LayerError, match="unknown type 'LRNMap'") as caught:
        Net(text.parse(old, NetParameter()))

    assert "an experimental branch of BVLC's" in caught.value.hint
    two = 'layer { name: "a" type: "Accum" } layer { name: "b" type: "Accum" } layer { name: "c" type: "Mean" }'
    with pytest.raises(LayerError, match="layer 'a' has the unknown type 'Accum'; unknown as well: 'Mean'\n"):
        net_of(two)
    assert all(forks.fork_type_hint(name) for name in forks.FORK_OF_TYPE)
    assert set() == set(forks.FORK_OF_TYPE) & set(registered_types())
    bvlc = {"Convolution", "LSTM", "Pooling", "LRN"}
    assert bvlc <= set(registered_types())
    assert not any(map(forks.fork_type_hint, bvlc))


def test_the_page_of_differences_lists_what_is_left_aside():
    """Each field that has no effect is named there, of nets and of solvers."""
    page = (Path(__file__).parents[2] / "docs" / "differences.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))

    assert {*forks.LEFT_ASIDE, *fork_fields.LEFT_ASIDE} <= named


def test_all_layers_are_named_in_one_error():
    """A net with such a field in each layer is one error, not one a run."""
    both = CONVOLUTION % ("dilation_h: 2", "") + (CONVOLUTION % ("dilation_h: 2", "")).replace('"c"', '"d"')
    with pytest.raises(LayerError) as caught:
        net_of(both)

    assert caught.value.message.splitlines() == [
        "layer 'c' (Convolution): convolution_param.dilation_h is set, but this layer does not read it; nor do these:",
        "layer 'd' (Convolution): convolution_param.dilation_h"]


@pytest.mark.parametrize(("kind", "code"), [("DOUBLE", "<f8"), ("FLOAT", "<f4"), ("FLOAT16", "<f2"), ("INT", "<i4"),
                                            ("UINT", "<u4"), ("BOOL", "?")])
@pytest.mark.parametrize("which", ["data", "diff"])
def test_raw_numbers_of_nvidias_blobs(kind, code, which):
    """raw_data and raw_diff hold the numbers as bytes, of any of six types."""
    numbers = (np.arange(6) - (0 if code in ("<u4", "?") else 2)).astype(code)
    blob = BlobProto(shape={"dim": [2, 3]}, **{f"raw_{which}": numbers.tobytes(), f"raw_{which}_type": kind})
    array = blob_to_array(blob, diff=which == "diff")

    assert array.dtype == (np.float64 if kind == "DOUBLE" else np.float32)
    assert np.array_equal(array, numbers.reshape(2, 3).astype(array.dtype))


def test_wrong_raw_numbers():
    """Too few bytes, and a part of a number, are errors."""
    with pytest.raises(DataError, match="holds 5 values, but its shape 2 x 3 needs 6"):
        blob_to_array(BlobProto(shape={"dim": [2, 3]}, raw_data=bytes(10), raw_data_type="FLOAT16"))
    with pytest.raises(DamagedError, match="11 bytes are no whole number of values"):
        blob_to_array(BlobProto(shape={"dim": [2, 3]}, raw_data=bytes(11), raw_data_type="FLOAT16"))
