"""The bug hunts of the course: a net, a solver or a layer with one planted fault, which the student finds.

`minicaffe course bug 3` writes the files of hunt 3 into the folder `bug_3/` of the student's, and prints its page. The
student runs `minicaffe check`, `minicaffe trace` or `minicaffe train` with debug_info on them, and says where the fault
is: `minicaffe course bug 3 --answer bug_3/layers.py:41`.

How a hunt is written
    A hunt is a folder here, `h03_fork/`. Its answer and its tests stand in `tests/course/hunts/`.

    page.md         what the command prints. The first line is the title. Then: what the net should do, what it does
                    instead, what to run, and the question. It does not name the kind of the fault. It says which files
                    are right where the fault could be mended in more than one of them, so that there is one answer.
    files/          the files, of text alone. They are used from the student's folder: the solver's net is
                    `bug_3/net.prototxt`, a Python layer's module `bug_3.layers`. What the net learns from is drawn from
                    a seed by a Python layer, or Input layers get random numbers from the command. A module imports
                    numpy and minicaffe.layer alone.
    answers.json    the accepted places and the near misses, sealed (`sealed.py`).

    Plant one fault, as small as a student's own: one line, or one word of it. The rest is right, and reads like any
    other layer or net. No comment gives the fault away. At least one of the commands above must point at the place.

What stands in `tests/course/hunts/h03.py`:
    COMMAND         the command that finds it, as a student types it
    PLACES          the lines that are accepted: {file: the text that stands in each of them}
    EXPLANATION     what the student reads then: what is wrong, why it showed as it did, and what mends it
    NEAR            near misses, where it shows but does not come from: {(file, text): what the student reads then}
    MENDED          the edit that mends it: (file, old, new)
    points(run)     whether what the command has put out points at the place. It must be true for the planted files,
                    and false for the mended ones
`python tests/hunt_tools.py` writes each answers.json from these, and `tests/course/test_hunts.py` tests them.
`pytest tests/course -k h03` tries one hunt.
"""
