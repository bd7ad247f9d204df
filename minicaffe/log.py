"""Log what a run does. Each line names the place in Caffe's source that prints it, because log parsers look for it.

`log(At.ITERATION, "Iteration 0, loss = 2.3")` goes to the logger "minicaffe", with the place as `at` in its log record.
The library attaches no handler. So a program that imports it sees warnings alone, while the command line writes
everything in Caffe's format (records/glog.py).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

logger = logging.getLogger("minicaffe")
_quiet = ContextVar("quiet", default=False)

# Characters that move a terminal's cursor, or change its colours or the order of letters; and halves of characters,
# which cannot be written as UTF-8.
_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_CONTROLS, _CONTROLS_AND_LINES = re.compile(f"[{_CONTROL}]"), re.compile(f"[{_CONTROL}\t\n]")


class At:
    """The places in Caffe's source that print each event: they stay as they are, because log parsers look for them."""

    DEVICE_QUERY = "caffe.cpp:138"
    MODE = "caffe.cpp:197"
    TRAIN_FLAGS = "caffe.cpp:204"
    FIELD_OVERRIDDEN = "caffe.cpp:212"
    SIGNAL = "caffe.cpp:232"
    RESUMING = "caffe.cpp:235"
    TRAINING_BEGINS = "caffe.cpp:239"
    TRAINING_DONE = "caffe.cpp:250"
    TEST_MODE = "caffe.cpp:275"
    TEST_BEGINS = "caffe.cpp:281"
    TEST_BATCH = "caffe.cpp:304"
    TEST_MEAN_LOSS = "caffe.cpp:309"
    TEST_MEAN_OUTPUT = "caffe.cpp:321"
    TIME_MODE = "caffe.cpp:343"
    TIME_FORWARD = "caffe.cpp:351"
    TIME_INITIAL_LOSS = "caffe.cpp:356"
    TIME_BACKWARD = "caffe.cpp:357"
    TIME_BEGINS = "caffe.cpp:365"
    TIME_ITERATIONS = "caffe.cpp:366"
    TIME_ITERATION = "caffe.cpp:394"
    TIME_PER_LAYER = "caffe.cpp:397"
    TIME_LAYER_FORWARD = "caffe.cpp:400"
    TIME_LAYER_BACKWARD = "caffe.cpp:403"
    TIME_MEAN_FORWARD = "caffe.cpp:408"
    TIME_MEAN_BACKWARD = "caffe.cpp:410"
    TIME_MEAN_BOTH = "caffe.cpp:412"
    TIME_TOTAL = "caffe.cpp:414"
    TIME_ENDS = "caffe.cpp:415"

    SOLVER_BEGINS = "solver.cpp:45"
    SOLVER_DONE = "solver.cpp:57"
    FINETUNING = "solver.cpp:72"
    TRAIN_NET_PARAM = "solver.cpp:88"
    TRAIN_NET_FILE = "solver.cpp:92"
    NET_PARAM = "solver.cpp:97"
    NET_FILE = "solver.cpp:102"
    TEST_NET = "solver.cpp:190"
    ITERATION = "solver.cpp:239"
    TRAIN_OUTPUT = "solver.cpp:258"
    SOLVING = "solver.cpp:289"
    LR_POLICY = "solver.cpp:290"
    SOLVER_RESTORED = "solver.cpp:296"
    STOPPED_EARLY = "solver.cpp:311"
    LAST_ITERATION = "solver.cpp:327"
    OPTIMIZATION_DONE = "solver.cpp:332"
    TESTING = "solver.cpp:347"
    TEST_INTERRUPTED = "solver.cpp:396"
    TEST_LOSS = "solver.cpp:401"
    TEST_OUTPUT = "solver.cpp:414"
    SNAPSHOTS_KEPT = "solver.cpp:447"
    SNAPSHOT_BINARY = "solver.cpp:464"
    SNAPSHOT_HDF5 = "solver.cpp:474"
    RESUMED = "solver.cpp:530"

    LR_STEP = "sgd_solver.cpp:50"
    GRADIENTS_CLIPPED = "sgd_solver.cpp:99"
    LR = "sgd_solver.cpp:112"
    ITER_SIZE = "sgd_solver.cpp:127"
    STATE_BINARY = "sgd_solver.cpp:284"
    STATE_HDF5 = "sgd_solver.cpp:296"
    STATE_NAMES_WEIGHTS = "sgd_solver.cpp:324"
    HISTORY_RESTORED = "sgd_solver.cpp:336"

    OLDER_NET_CALL = "_caffe.cpp:139"

    V0_FIELD_BESIDE_LAYER = "upgrade_proto.cpp:120"
    V0_FIELD_UNUSED = "upgrade_proto.cpp:210"
    INPUT_FIELDS = "upgrade_proto.cpp:961"
    SOLVER_TYPE_DEPRECATED = "upgrade_proto.cpp:1093"
    SNAPSHOT_PREFIX_SET = "upgrade_proto.cpp:1108"
    SNAPSHOT_PREFIX_FOLDER = "upgrade_proto.cpp:1113"

    NET_BEGINS = "net.cpp:53"
    LAYER_CREATED = "net.cpp:86"
    LAYER_SET_UP = "net.cpp:124"
    TOP_SHAPE = "net.cpp:131"
    LOSS_WEIGHT = "net.cpp:134"
    MEMORY = "net.cpp:139"
    NEEDS_BACKWARD = "net.cpp:200"
    NO_BACKWARD = "net.cpp:202"
    NET_OUTPUT = "net.cpp:244"
    NET_DONE = "net.cpp:257"
    NET_STATE = "net.cpp:271"
    OTHER_PHASE = "net.cpp:296"
    BELOW_MIN_LEVEL = "net.cpp:305"
    ABOVE_MAX_LEVEL = "net.cpp:314"
    STAGE_MISSING = "net.cpp:328"
    NOT_STAGE = "net.cpp:343"
    TOP_IN_PLACE = "net.cpp:369"
    TOP = "net.cpp:382"
    BOTTOM = "net.cpp:408"
    SHARED_PARAMS = "net.cpp:467"
    UNROLLED_STEP = "net.cpp:584"
    DEBUG_FORWARD_TOP = "net.cpp:593"
    DEBUG_FORWARD_PARAM = "net.cpp:605"
    DEBUG_BACKWARD_BOTTOM = "net.cpp:621"
    DEBUG_BACKWARD_PARAM = "net.cpp:632"
    DEBUG_ALL_PARAMS = "net.cpp:721"
    WEIGHTS_COPIED = "net.cpp:741"
    SOURCE_LAYER_IGNORED = "net.cpp:746"
    HDF5_WEIGHTS = "net.cpp:878"

    LAYER_FOUND = "layer_factory.hpp:77"
    TYPE_LOOKED_UP = "layer_factory.hpp:81"

    LAYER_PARAMETER = "layer.hpp:67"

    FILLER = "filler.hpp:286"

    DATA_SHAPE = "data_layer.cpp:45"
    DATA_SKIPPED = "data_layer.cpp:73"

    MEAN_FILE = "data_transformer.cpp:25"
    DATUM_COLOR = "data_transformer.cpp:152"

    LEVELDB_OPENED = "db_leveldb.cpp:18"
    LMDB_OPENED = "db_lmdb.cpp:35"

    IMAGE_COLOR = "image_data_layer.cpp:34"
    IMAGE_LIST_OPENED = "image_data_layer.cpp:38"
    IMAGES_SHUFFLED = "image_data_layer.cpp:53"
    IMAGES_COUNTED = "image_data_layer.cpp:63"
    IMAGES_SKIPPED = "image_data_layer.cpp:70"
    IMAGE_SHAPE = "image_data_layer.cpp:90"

    MEMORY_DATA_RESET = "memory_data_layer.cpp:90"

    POOLING_WINDOW = "pooling_layer.cpp:43"

    LOSS_NORMALIZATION = "softmax_loss_layer.cpp:27"

    IMAGESET_SHUFFLED = "convert_imageset.cpp:86"
    IMAGESET_COUNTED = "convert_imageset.cpp:89"
    IMAGESET_ENCODED = "convert_imageset.cpp:92"
    IMAGESET_NO_TYPE = "convert_imageset.cpp:117"
    IMAGESET_PROGRESS = "convert_imageset.cpp:147"
    IMAGESET_DONE = "convert_imageset.cpp:153"

    MEAN_DECODES = "compute_image_mean.cpp:57"
    MEAN_BEGINS = "compute_image_mean.cpp:70"
    MEAN_PROGRESS = "compute_image_mean.cpp:95"
    MEAN_COUNTED = "compute_image_mean.cpp:101"
    MEAN_WRITTEN = "compute_image_mean.cpp:108"
    MEAN_CHANNELS = "compute_image_mean.cpp:114"
    MEAN_VALUE = "compute_image_mean.cpp:119"

    MNIST_COUNTED = "convert_mnist_data.cpp:88"
    MNIST_SIZE = "convert_mnist_data.cpp:89"
    MNIST_DONE = "convert_mnist_data.cpp:108"

    CIFAR_TRAINING = "convert_cifar_data.cpp:52"
    CIFAR_BATCH = "convert_cifar_data.cpp:55"
    CIFAR_TESTING = "convert_cifar_data.cpp:73"

    FEATURES_MODE = "extract_features.cpp:62"
    FEATURES_OPENED = "extract_features.cpp:125"
    FEATURES_BEGIN = "extract_features.cpp:133"
    FEATURES_PROGRESS = "extract_features.cpp:165"
    FEATURES_COUNTED = "extract_features.cpp:176"
    FEATURES_DONE = "extract_features.cpp:181"

    WINDOW_IMAGES = "window_data_layer.cpp:147"
    WINDOW_SHAPE = "window_data_layer.cpp:170"
    WINDOW_SCALE = "window_data_layer.cpp:243"

    SCRIPT = "_caffe.cpp:68"

    TIMER_UNUSED = "benchmark.cpp:84"

    # minicaffe's own events: each has the place of that event of Caffe's which stands nearest to it in a log
    CIFAR_DONE = CIFAR_TESTING
    DEVICE_IGNORED = TRAIN_FLAGS
    RUN_LOCK = RESUMING
    RUN_FOLDER = TRAINING_BEGINS
    RANKS = MODE
    FIELD_WARNING = SOLVER_BEGINS
    EPOCHS = SOLVER_BEGINS
    DOCTOR = ITERATION
    TEST_SIZE = TESTING
    BEST_SNAPSHOT = SNAPSHOT_BINARY
    PLATEAU_STEP = LR_STEP
    DATA_ADVANCED = HISTORY_RESTORED
    LEFT_OUT = DATUM_COLOR
    BALANCED = DATA_SHAPE


def visible(text: str) -> str:
    """Make a message safe to print: control characters become escapes such as \\x1b. Line ends and tabs stay."""
    return _CONTROLS.sub(lambda found: escape(found[0]), text)


def one_line(name: object) -> str:
    """Make a name from a file safe to print in a message: all its characters are visible, and it stays on one line."""
    return _CONTROLS_AND_LINES.sub(lambda found: escape(found[0]), str(name))


def escape(letter: str) -> str:
    """Return the escape for a character, as prototxts and Python's strings write it."""
    if letter < "\x80":
        return repr(letter)[1:-1] if letter < " " or letter == "\x7f" else letter
    return f"\\u{ord(letter):04x}" if letter < "\U00010000" else f"\\U{ord(letter):08x}"


def log(at: str, message: str | Callable[[], str], more: Callable[[], str] | None = None) -> None:
    """Report `message`, one line, as information from the place `at`; the lines of `more` follow below it.

    Functions are called only where the report is shown, so a long text need not be made in vain.
    """
    _report(logging.INFO, at, message, more)


def warn(at: str, message: str | Callable[[], str], more: Callable[[], str] | None = None) -> None:
    """Report something that the user should know, and that does not stop the run."""
    _report(logging.WARNING, at, message, more)


def lines(text: str) -> tuple[str, Callable[[], str] | None]:
    """Return a text as `log` and `warn` take it: its first line, and a function that gives the others."""
    first, _, rest = text.partition("\n")
    return first, (lambda: rest) if rest else None


@contextmanager
def silent() -> Iterator[None]:
    """Report nothing within the block. It repeats work that has been reported already."""
    before = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(before)


def _report(level: int, at: str, message: str | Callable[[], str], more: Callable[[], str] | None) -> None:
    if logger.isEnabledFor(level) and not _quiet.get():
        text = visible(message if isinstance(message, str) else message())
        text = text.replace("\n", r"\n")  # a name in it cannot begin a line
        logger.log(level, "%s", text + "\n" + visible(more()) if more else text, extra={"at": at})


def number(value: float) -> str:
    """Return a float as C++ streams print it, with six significant digits: 0.01, 1e-05, 2.3026."""
    return f"{float(value):.6g}"


def shape_text(shape: Iterable[int]) -> str:
    """Return a shape as people write it: 20×1×5×5."""
    return "×".join(map(str, shape)) or "scalar"


def plural(count: int, what: str) -> str:
    """Return '1 sample' or '3 samples'."""
    return f"{count} {what}" + "s" * (count != 1)
