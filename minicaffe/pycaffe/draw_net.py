"""Draw a net's prototxt: `python -m minicaffe.pycaffe.draw_net train_val.prototxt net.png`, with Caffe's flags.

The drawing is that of `minicaffe draw`. The ending of the output file is its format: svg, html and dot always, png, pdf
and others where graphviz is installed.
"""

from __future__ import annotations

from collections.abc import Sequence

from minicaffe.drawing.dot import RANKDIRS
from minicaffe.log import one_line
from minicaffe.net import location
from minicaffe.proto import Phase
from minicaffe.pycaffe import command_line
from minicaffe.pycaffe.command_line import Parser, say
from minicaffe.pycaffe.draw import format_of, get_pydot_graph

PROG = "python -m minicaffe.pycaffe.draw_net"


def main(argv: Sequence[str]) -> None:
    """Do what the words of the command line say. Raise MinicaffeError for a user's mistake."""
    args = _parser().parse_args(argv)
    out, form = args.output_image_file, format_of(args.output_image_file)
    net, place = location.read(args.input_net_proto_file)
    say(f"Drawing net to {one_line(out)}")
    with place.in_errors(net):
        graph = get_pydot_graph(net, args.rankdir, phase=None if args.phase == "ALL" else Phase.Value(args.phase),
                                display_lrm=args.display_lrm)
    graph.write(out, format=form)


def _parser() -> Parser:
    parser = Parser(PROG, __doc__ or "")
    parser.add_argument("input_net_proto_file", metavar="NET", help="the net: a prototxt or YAML file")
    parser.add_argument("output_image_file", metavar="OUTPUT", help="the file to write; its ending is the format")
    parser.add_argument("--rankdir", choices=RANKDIRS, default=None,
                        help="the direction: from top to bottom (TB), from left to right (LR), and so on (default: LR "
                             "where graphviz draws, else TB)")
    parser.add_argument("--phase", choices=("TRAIN", "TEST", "ALL"), default="ALL",
                        help="draw the layers of this phase, or of both as one drawing (default: ALL)")
    parser.add_argument("--display_lrm", action="store_true",
                        help="show the lr_mult of Convolution, Deconvolution and InnerProduct layers")
    return parser


if __name__ == "__main__":
    command_line.run(PROG, main)
