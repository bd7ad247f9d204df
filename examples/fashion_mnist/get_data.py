"""Write Fashion-MNIST as the two LMDBs that lenet_train_test.prototxt reads.

  python get_data.py          the 5,000 training and 1,000 test images in subset/
  python get_data.py --full   all 70,000, from the Debian package dataset-fashion-mnist or downloaded (31 MB)
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import urllib.request
from pathlib import Path

from minicaffe.data.idx import write_idx_lmdb
from minicaffe.errors import DataError, MinicaffeError
from minicaffe.io.files import replace_file

HERE = Path(__file__).resolve().parent
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
URL = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
SHA256 = {  # of the four files as that repository has them
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all 70,000 images instead of the subset")
    parser.add_argument("--out", type=Path, default=HERE, metavar="FOLDER", help="where the LMDBs go (default: here)")
    args = parser.parse_args()
    try:
        write_databases(full_set() if args.full else HERE / "subset", args.out)
    except MinicaffeError as error:
        print(f"get_data.py: error: {error}", file=sys.stderr)
        return 1
    return 0


def write_databases(files: Path, out: Path) -> None:
    """Write train_lmdb and test_lmdb into `out` from the four files in a folder, replacing what is there."""
    for name, prefix in (("train_lmdb", "train"), ("test_lmdb", "t10k")):
        count = write_idx_lmdb(files / f"{prefix}-images-idx3-ubyte.gz", files / f"{prefix}-labels-idx1-ubyte.gz",
                               out / name)
        print(f"{out / name}: {count} images")


def full_set() -> Path:
    """Return the folder with the four files of the whole set; download them if Debian's package is not installed."""
    if all((DEBIAN / name).is_file() for name in SHA256):
        return DEBIAN
    folder = HERE / "full"
    folder.mkdir(exist_ok=True)
    for name, expected in SHA256.items():
        if not (folder / name).is_file() or sha256((folder / name).read_bytes()) != expected:
            download(name, expected, folder / name)
    return folder


def download(name: str, expected: str, target: Path) -> None:
    """Download one file, and write it only if its SHA-256 is the expected one."""
    print(f"downloading {URL}{name}")
    try:
        with urllib.request.urlopen(URL + name, timeout=60) as response:
            content = response.read()
    except OSError as error:
        raise DataError(f"cannot download {URL}{name}: {error}",
                        hint="without a network: apt install dataset-fashion-mnist") from error
    if sha256(content) != expected:
        raise DataError(f"{URL}{name} is not the file that was expected: its SHA-256 is {sha256(content)}, "
                        f"not {expected}")
    replace_file(target, [content])


def sha256(content: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
