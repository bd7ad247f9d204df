"""What scripts of 2015 use that Python 3, or today's packages, have no longer, and what to write instead."""

PYTHON_2 = "this is Python 2"

MODULES = {  # a module that was -> what to write
    "BaseHTTPServer": "import http.server", "ConfigParser": "import configparser", "HTMLParser": "import html.parser",
    "Queue": "import queue", "SimpleHTTPServer": "import http.server", "SocketServer": "import socketserver",
    "StringIO": "from io import BytesIO for bytes, such as an image's, from io import StringIO for text",
    "Tkinter": "import tkinter", "__builtin__": "import builtins", "cPickle": "import pickle",
    "cStringIO": "from io import BytesIO for bytes, such as an image's, from io import StringIO for text",
    "commands": "import subprocess; commands.getoutput is subprocess.getoutput", "cookielib": "import http.cookiejar",
    "copy_reg": "import copyreg", "exceptions": "import builtins", "httplib": "import http.client",
    "md5": "import hashlib", "sets": "set, which needs no import", "thread": "import _thread",
    "tkFileDialog": "import tkinter.filedialog", "tkMessageBox": "import tkinter.messagebox",
    "urllib2": "import urllib.request (its errors are in urllib.error)", "urlparse": "import urllib.parse",
    "xmlrpclib": "import xmlrpc.client",
}
NEWER_MODULES = {  # the same, where the module was in early versions of Python 3 or in a package
    "Image": "from PIL import Image", "cv": "import cv2; the package is opencv-python",
    "distutils": "import setuptools before it, which brings it along", "imp": "import importlib",
    "scipy.misc": "import PIL.Image, imageio or cv2, which read, write and resize images",
    "skimage.filter": "import skimage.filters", "sklearn.cross_validation": "import sklearn.model_selection",
    "sklearn.externals": "import joblib",
}
PACKAGES = {  # a module that a script for Caffe may want -> the package to install, where it is not there
    "PIL": "pillow", "cv2": "opencv-python-headless", "progressbar": "progressbar2", "six": "six",
    "skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "pyyaml",
}
NAMES = {  # a built-in name of Python 2 -> what to write
    "apply": "f(*args)", "basestring": "str", "buffer": "memoryview", "cmp": "(a > b) - (a < b)",
    "execfile": "exec(open(file).read())", "file": "open", "intern": "sys.intern", "long": "int",
    "raw_input": "input", "reduce": "from functools import reduce", "reload": "from importlib import reload",
    "unichr": "chr", "unicode": "str", "xrange": "range",
}
ATTRIBUTES = {  # a module or type of Python 2 -> its names that are gone -> what to write
    "dict": {"has_key": "key in d", "iteritems": "d.items()", "iterkeys": "d.keys()", "itervalues": "d.values()",
             "viewitems": "d.items()", "viewkeys": "d.keys()", "viewvalues": "d.values()"},
    "dict_keys": {"sort": "sorted(d)", "index": "list(d).index(x)"},
    "dict_items": {"sort": "sorted(d.items())"}, "dict_values": {"sort": "sorted(d.values())"},
    "itertools": {"izip": "zip", "imap": "map", "ifilter": "filter", "izip_longest": "itertools.zip_longest"},
    "os": {"getcwdu": "os.getcwd"},
    "range": {"sort": "list(range(n))", "remove": "list(range(n))", "append": "list(range(n))"},
    "str": {"decode": "text as it is; only bytes are decoded, and open(file, 'rb') reads bytes"},
    "string": {"letters": "string.ascii_letters", "lowercase": "string.ascii_lowercase",
               "uppercase": "string.ascii_uppercase", "maketrans": "str.maketrans", "join": "separator.join(words)",
               "split": "text.split()", "replace": "text.replace(a, b)", "strip": "text.strip()", "atoi": "int(text)",
               "atof": "float(text)", "lower": "text.lower()", "upper": "text.upper()", "zfill": "text.zfill(width)",
               "find": "text.find(part)", "rfind": "text.rfind(part)"},
    "sys": {"maxint": "sys.maxsize", "setdefaultencoding": "nothing, text is Unicode already",
            "exc_clear": "nothing", "exc_type": "sys.exc_info()[0]"},
    "time": {"clock": "time.perf_counter()"},
    "types": {"StringType": "str", "UnicodeType": "str", "IntType": "int", "FloatType": "float", "ListType": "list",
              "DictType": "dict", "TupleType": "tuple", "StringTypes": "str"},
    "urllib": {"urlopen": "urllib.request.urlopen", "urlretrieve": "urllib.request.urlretrieve",
               "urlencode": "urllib.parse.urlencode", "quote": "urllib.parse.quote",
               "unquote": "urllib.parse.unquote", "URLopener": "urllib.request.URLopener"},
}
NEWER_ATTRIBUTES = {  # the same for what early versions of Python 3 had, and for packages
    "collections": {name: f"collections.abc.{name}"
                    for name in ("Callable", "Iterable", "Iterator", "Mapping", "MutableMapping", "Sequence")},
    "Dataset": {"value": "dataset[()]"},  # h5py
    "Image": {"fromstring": "Image.frombytes", "tostring": "image.tobytes()"},
    "PIL.Image": {"ANTIALIAS": "Image.LANCZOS", "fromstring": "Image.frombytes"},
    "FreeTypeFont": {"getsize": "font.getbbox(text)[2:]"}, "ImageDraw": {"textsize": "draw.textbbox((0, 0), text)[2:]"},
    "cv2": {"cv": "the name that cv2 itself has, such as cv2.INTER_LINEAR for cv2.cv.CV_INTER_LINEAR (CV_INTER_NN is "
                  "INTER_NEAREST), and a tuple for a Scalar", "SIFT": "cv2.SIFT_create()"},
    "inspect": {"getargspec": "inspect.getfullargspec"},
    "matplotlib.cm": {"spectral": "matplotlib.cm.nipy_spectral", "get_cmap": "matplotlib.colormaps[name]"},
    "matplotlib.pyplot": {"hold": "nothing, a plot always adds to the last"},
    "ndarray": {"tostring": "a.tobytes()", "ptp": "numpy.ptp(a)", "itemset": "a[i] = value"},
    "numpy": {"bool": "bool", "complex": "complex", "float": "float", "int": "int", "long": "int", "object": "object",
              "str": "str", "unicode": "str", "Inf": "numpy.inf", "NaN": "numpy.nan", "PINF": "numpy.inf",
              "alltrue": "numpy.all", "asscalar": "a.item()", "complex_": "numpy.complex128",
              "cumproduct": "numpy.cumprod", "float_": "numpy.float64", "in1d": "numpy.isin", "infty": "numpy.inf",
              "mat": "numpy.asmatrix", "product": "numpy.prod", "rank": "numpy.ndim", "round_": "numpy.round",
              "row_stack": "numpy.vstack", "sometrue": "numpy.any", "string_": "numpy.bytes_",
              "trapz": "numpy.trapezoid", "unicode_": "numpy.str_"},
    "numpy.random": {"random_integers": "numpy.random.randint, whose upper end is not included"},
    "scipy": dict.fromkeys(("misc",), "PIL.Image, imageio or cv2, which read, write and resize images"),
    "scipy.misc": {"imread": "numpy.array(PIL.Image.open(file))", "lena": "scipy.datasets.face()",
                   "imsave": "PIL.Image.fromarray(a).save(file)", "toimage": "PIL.Image.fromarray(a)",
                   "imresize": "numpy.array(PIL.Image.fromarray(a).resize((width, height)))",
                   "imshow": "matplotlib.pyplot.imshow", "logsumexp": "scipy.special.logsumexp"},
    "skimage.measure": {"compare_psnr": "skimage.metrics.peak_signal_noise_ratio",
                        "compare_ssim": "skimage.metrics.structural_similarity",
                        "structural_similarity": "skimage.metrics.structural_similarity"},
}
_WHOLE = "/ gives a float in Python 3: write // where whole numbers are meant"
_LISTS = "range, zip, map, filter and d.keys() give no list in Python 3: write list(...) around them"
_BYTES = "text and bytes are two types in Python 3: open files of bytes with 'rb' or 'wb', and write text.encode() " \
         "for bytes or bytes.decode() for text"
MESSAGES = (  # how Python's message of an error begins, and what to write
    ("TypeError", r"unsupported operand type\(s\) for >>: 'builtin_function_or_method'",
     "print is a function in Python 3: write print(x, file=f) for print >>f, x"),
    ("TypeError", r"unsupported operand type\(s\) for [%+,]: 'NoneType'",
     "print is a function in Python 3: write print(text % x) for print (text) % x"),
    ("TypeError", r"'builtin_function_or_method' object is not subscriptable",
     "print is a function in Python 3: write print([x]) for print [x]"),
    ("TypeError", r"'(numpy\.)?float\d*' object cannot be interpreted as an (integer|index)", _WHOLE),
    ("TypeError", r"(list|tuple|range|string|slice) ind(ex|ices) must be integers.*(float|__index__)", _WHOLE),
    ("TypeError", r"integer argument expected, got float", _WHOLE),
    ("TypeError", r"expected a sequence of integers or a single integer, got '\d+\.", _WHOLE),  # numpy
    ("IndexError", r"only integers, slices", _WHOLE),  # numpy
    ("TypeError", r"'(dict_keys|dict_values|dict_items|map|filter|zip)' object (is not subscriptable|does not support)",
     _LISTS),
    ("TypeError", r"'range' object does not support item (assignment|deletion)", _LISTS),
    ("TypeError", r"object of type '(map|filter|zip)' has no len", _LISTS),
    ("TypeError", r"unsupported operand type\(s\) for \+: '(range|dict_\w+|map|zip|filter)'", _LISTS),
    ("TypeError", r"(can only|unsupported).*'?list'?.*(range|dict_\w+|map|zip|filter)\b", _LISTS),
    ("TypeError", r"'[<>]=?' not supported between instances of",
     "Python 3 puts no order between values of different types, or dicts; give sorted a key, or test for None first"),
    ("TypeError", r".*'cmp' is an invalid keyword|.*unexpected keyword argument 'cmp'|sort\(\) takes no positional|"
     r"sorted expected 1 argument",
     "write key=functools.cmp_to_key(f) for a function that compares"),
    ("TypeError", r"a bytes-like object is required, not 'str'", _BYTES),
    ("TypeError", r"write\(\) argument must be str, not bytes|string argument expected, got 'bytes'", _BYTES),
    ("TypeError", r"can't concat str to bytes|can only concatenate str \(not \"bytes\"\)|can't concat bytes", _BYTES),
    ("TypeError", r"Won't implicitly convert Unicode to bytes",  # lmdb
     "a key of LMDB is bytes: write key.encode()"),
    ("TypeError", r"Descriptors cannot be created directly",
     "an old protoc wrote this file: if it is Caffe's caffe_pb2, import caffe.proto.caffe_pb2 instead, else run protoc "
     "again"),
    ("ImportError", r"attempted relative import with no known parent package",
     "a script imports the modules beside it without a dot: write import x, or from x import y"),
    ("ValueError", r"StringIO cannot be used to open an image", "write io.BytesIO(data) for the bytes of an image"),
    ("TypeError", r"unsupported format string passed to \w+\.__format__",
     "write {!s:>9} instead of {:>9} where the value is no number and no text"),
    ("TypeError", r"load\(\) missing 1 required positional argument: 'Loader'", "write yaml.safe_load(file)"),
    ("UnicodeDecodeError", r"", "a file that holds no text is opened with open(file, 'rb') in Python 3, and a pickle "
     "that Python 2 wrote is read with pickle.load(f, encoding='latin1')"),
    ("TypeError", r".*unexpected keyword argument 'as_grey'", "skimage calls it as_gray now"),
    ("(TypeError|AttributeError)", r".*unexpected keyword argument 'normed'", "matplotlib calls it density now"),
    ("(TypeError|AttributeError)", r".*(unexpected keyword argument|property) '?axisbg", "matplotlib calls it "
     "facecolor now"),
)
