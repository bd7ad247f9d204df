"""Draw a net's prototxt: `python -m minicaffe.pycaffe.draw_net train_val.prototxt net.png`, with Caffe's flags.

The drawing is that of `minicaffe draw`. The ending of the output file is its format: svg, html and dot always, png, pdf
and others where graphviz is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from minicaffe.drawing.dot import RANKDIRS
from minicaffe.errors import MinicaffeError
from minicaffe.log import one_line
from minicaffe.net import location
from minicaffe.proto import Phase
from minicaffe.pycaffe.draw import format_of, get_pydot_graph
from minicaffe.pycaffe.programs import Parser

DESCRIPTION = ("Draw a net as `minicaffe draw` does. An .svg, .html or .dot needs no other program. .png, .pdf and "
               "others are made by graphviz.")


def main(args: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    flags = _parser().parse_args(args)
    phase = None if flags.phase == "ALL" else Phase.Value(flags.phase)
    try:
        out, form = flags.output_image_file, format_of(flags.output_image_file)
        net, place = location.read(flags.input_net_proto_file)
        print(f"Drawing net to {one_line(out)}", flush=True)
        with place.in_errors(net):
            graph = get_pydot_graph(net, flags.rankdir, phase=phase, display_lrm=flags.display_lrm)
        graph.write(out, format=form)
    except (MinicaffeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> Parser:
    parser = Parser("draw_net.py", DESCRIPTION)
    parser.add_argument("input_net_proto_file", help="the net: a prototxt or YAML file")
    parser.add_argument("output_image_file", help="the file to write; its ending is the format")
    parser.add_argument("--rankdir", choices=RANKDIRS, default=None,
                        help="the way of the drawing: from top to bottom (TB), from left to right (LR), ... (default: "
                             "LR where graphviz draws, else TB)")
    parser.add_argument("--phase", choices=("TRAIN", "TEST", "ALL"), default="ALL",
                        help="draw the layers of this phase, or of both as one drawing (default: ALL)")
    parser.add_argument("--display_lrm", action="store_true",
                        help="show the lr_mult of Convolution, Deconvolution and InnerProduct layers")
    return parser


if __name__ == "__main__":
    sys.exit(main())
