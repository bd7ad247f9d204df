"""Write each drawing as an SVG file of its own: python docs/gallery FOLDER [TYPE ...]."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # docs/, where `gallery` lies

from gallery import DRAWINGS, svg
from minicaffe.layers.datasheet import anchor
from minicaffe.pages.page import asset

if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    style = asset("minicaffe.pages", "base.css") + asset("gallery", "drawing.css") + "svg { background: var(--page); }"
    for name in sys.argv[2:] or DRAWINGS:
        (folder / f"{anchor(name)}.svg").write_text(svg(name, style) + "\n", encoding="utf-8")
