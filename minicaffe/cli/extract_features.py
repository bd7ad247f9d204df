"""Write what blobs of a trained net hold for each image that its data layer reads, in phase TEST.

  minicaffe extract_features lenet.caffemodel lenet.prototxt ip1 ip1_lmdb 100
  minicaffe extract_features lenet.caffemodel lenet.prototxt ip1,pool2 a_lmdb,b_lmdb 100
  minicaffe extract_features lenet.caffemodel lenet.prototxt ip1,label features.h5 all

If OUT ends in .h5, .hdf5 or .npz, it is a file of arrays, each called as its blob. Such a file may be given once for
several blobs; its arrays are held in memory until all are complete. Any other OUT is an LMDB with the same records as
Caffe's tool writes. The arguments may end with lmdb or leveldb, and CPU, as Caffe's do.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack

from minicaffe.cli import progress
from minicaffe.cli.flags import whole
from minicaffe.cli.new_database import add_replace, check_backend, log_opened
from minicaffe.cli.show import add_level_and_stage, add_permissive, stages
from minicaffe.cli.threads import add_threads, use_threads
from minicaffe.cli.user_code import add_user_code
from minicaffe.data.features import Add, is_file_of_arrays, new_features
from minicaffe.errors import DataError, NetError, near_names
from minicaffe.io.files import check_can_write, is_hdf5_name
from minicaffe.log import At, log, warn
from minicaffe.net import Net
from minicaffe.proto import TEST
from minicaffe.solvers.schedule.epochs import Test, readers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", metavar="WEIGHTS", help="a file with the learned weights")
    parser.add_argument("net", metavar="NET", help="the net, with a data layer, a prototxt or YAML file")
    parser.add_argument("blobs", metavar="BLOB[,BLOB]", help="names of the blobs to write")
    parser.add_argument("targets", metavar="OUT[,OUT]", help="a database for each blob, or a file of arrays")
    parser.add_argument("batches", metavar="BATCHES",
                        help="how many batches to run; all: until each image was read once")
    parser.add_argument("backend", metavar="KIND", nargs="?",
                        help="lmdb or leveldb: each OUT is such a database, whatever it is called; hdf5 or npz: what "
                             "its name says, too")
    parser.add_argument("mode", metavar="CPU", nargs="?", default="CPU",
                        help="CPU or GPU: accepted because Caffe has it; minicaffe computes on the CPU")
    parser.add_argument("device", metavar="ID", nargs="?", type=whole, help="the GPU; it has no effect")
    add_replace(parser, "an OUT")
    add_level_and_stage(parser)
    add_permissive(parser)
    add_user_code(parser)
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    use_threads(args)
    blobs, outputs = args.blobs.split(","), _outputs(args)
    with progress.counting() as follow, ExitStack() as made:
        log(At.FEATURES_MODE, "Using CPU")
        if args.mode == "GPU":
            warn(At.FEATURES_MODE, "GPU is given, but minicaffe computes on the CPU")
        net = Net(args.net, TEST, level=args.level, stages=stages(args), permissive=args.permissive,
                  weights=args.weights, allow_python=not args.no_python)
        if net.loaded is not None:
            net.loaded.log()
        _check_blobs(net, blobs, args.net)
        batches = _batches(net, args.batches)
        pairs: list[tuple[str, Add]] = []
        for path, wanted in outputs.items():
            log(At.FEATURES_OPENED, f"Opening dataset {path}")
            backend = args.backend or ("" if is_file_of_arrays(path) else "lmdb")
            adds = made.enter_context(new_features(wanted, path, backend=backend, replace=args.replace))
            if backend:
                log_opened(backend, path)
            pairs += zip(wanted, adds, strict=True)
        log(At.FEATURES_BEGIN, "Extracting Features")
        counts = _extract(net, blobs, pairs, follow, batches, Test(net, batches) if args.batches == "all" else None)
        made.close()  # it writes what is not yet written
        for blob, count in counts.items():
            log(At.FEATURES_COUNTED, f"Extracted features of {count} query images for feature blob {blob}")
        log(At.FEATURES_DONE, "Successfully extracted the features!")
    return 0


def _extract(net: Net, blobs: Sequence[str], pairs: Sequence[tuple[str, Add]], follow: progress.Follow, batches: int,
             test: Test | None) -> dict[str, int]:
    """Run the net, and hand each batch of a blob to the functions beside it in `pairs`.

    A `test` ends with the epoch, which may be before all batches have run. Return how many samples each blob had.
    """
    counts = dict.fromkeys(blobs, 0)
    for _ in follow(test or range(batches), batches):
        net.forward()
        if test and not test.share():  # the samples that were left could not be read, and this batch begins anew
            break
        for blob, add in pairs:
            add(net.blobs[blob].data if net.blobs[blob].shape else net.blobs[blob].data[None])
        for blob in counts:
            counts[blob] += net.blobs[blob].shape[0] if net.blobs[blob].shape else 1
    return counts


def _outputs(args: argparse.Namespace) -> dict[str, list[str]]:
    """Return the blobs of each output by its path. Raise DataError where the numbers or the kinds do not fit."""
    if args.backend in ("hdf5", "npz"):
        for path in args.targets.split(","):
            if not is_file_of_arrays(path) or is_hdf5_name(path) != (args.backend == "hdf5"):
                raise DataError(f"{path} is to be of the kind {args.backend}, and its name says otherwise",
                                hint=f"give OUT a name that ends in {'.h5' if args.backend == 'hdf5' else '.npz'}")
        args.backend = None  # the names say it already
    elif args.backend is not None:
        check_backend(args.backend)
    if args.mode not in ("CPU", "GPU"):
        raise DataError(f"expected CPU or GPU after the kind of database, got {args.mode!r}")
    blobs, paths = args.blobs.split(","), args.targets.split(",")
    shared = len(paths) == 1 and args.backend is None and is_file_of_arrays(paths[0])
    if len(blobs) != len(paths) and not shared:
        raise DataError(f"each blob needs an output: {args.blobs} is {len(blobs)}, and {args.targets} is {len(paths)}",
                        hint="a single file that ends in .h5 or .npz can hold all blobs")
    outputs: dict[str, list[str]] = {}
    for blob, path in zip(blobs, paths * len(blobs) if shared else paths, strict=True):
        outputs.setdefault(path, []).append(blob)
    for path, wanted in outputs.items():
        if len(set(wanted)) < len(wanted) or (len(wanted) > 1 and not is_file_of_arrays(path)):
            raise DataError(f"{path} is named for {len(wanted)} blobs, {', '.join(wanted)}",
                            hint="give each its own name")
        if is_file_of_arrays(path):
            check_can_write("OUT", path)  # a file of arrays is written at the end
    return outputs


def _check_blobs(net: Net, blobs: Sequence[str], path: str) -> None:
    """Raise NetError for a blob that the net does not have."""
    for blob in blobs:
        if blob not in net.blobs:
            raise NetError(f"the net has no blob {blob!r}", where=path,
                           hint=near_names(blob, list(net.blobs)) or f"it has {', '.join(net.blobs)}")


def _batches(net: Net, text: str) -> int:
    """Return how many batches to run. For `all`, let the data layer end its last batch with the epoch."""
    known = readers(net)
    if text != "all":
        count = int(text) if text.isascii() and text.isdigit() else 0
        if count < 1:
            raise DataError(f"BATCHES must be a whole number from 1 on, or all, got {text!r}")
        if known and count * known[0].batch > known[0].size:
            warn(At.FEATURES_BEGIN, f"{count} batches of {known[0].batch} are more than the {known[0].size} samples of "
                 f"layer {known[0].layer.name}: the first ones come again at the end (all takes each once)")
        return count
    if len(known) != 1:
        raise NetError(f"all needs one data layer that knows the size of its source; the net has {len(known)}",
                       hint="give the number of batches")
    [reader] = known
    if reader.size % reader.batch or getattr(reader.layer.param, "skip_bad", False):
        if reader.layer.whole_epochs is None:
            raise NetError(f"the {reader.size} samples of layer {reader.layer.name} are no multiple of its batch, "
                           f"{reader.batch}, and it cannot read a smaller one", hint="change its batch_size")
        reader.layer.whole_epochs = True
    return -(-reader.size // reader.batch)
