"""A course in twenty steps, in which a student builds a small framework of their own, and the grader of these steps.

The student writes one package, `my_caffe/`, in a folder of theirs. Each step brings new files with unfinished
functions, and uses the files of the steps before. The names are those of minicaffe, and the numbers are numpy arrays of
float64.

How a step is written
    A step is a folder of `steps/`, `s07_chain/`, with an empty `__init__.py`. Its tests stand in `tests/course/`.

    page.md     what `minicaffe course show 7` prints. The first line is the title, `# A chain of two layers`. Then:
                what to build and why, the formulas in the letters of the code and of the datasheets, a rule or two,
                and a small example with numbers: a session with Python behind `>>>`, which the tests run with the
                solution. It is read in a terminal, so formulas are plain text, indented by four blanks. One page
                is 25 to 70 lines of at most 100 characters.
    files/my_caffe/FILE.py
                what `start` writes into the student's folder. A function that the student writes has a docstring that
                says what it must do, and `raise NotImplementedError` as its body. A file belongs to one step: a later
                step that needs more in it says so on its page, or brings a subclass in a file of its own.
    hints.md    three hints, each below a line `# 1`, `# 2`, `# 3`. The last one names the line of thought. None of them
                has code of the solution.
    checks.py   functions `check_NAME(my, draw)`, run in the order of the file. The docstring is one sentence, which is
                printed. `my.blob` is the student's module `my_caffe/blob.py`. `draw` gives sizes and numbers that
                follow from the seed and the name of the check; sizes never repeat.

    A check calls the student's code and compares what comes out (`checking.py`):

        compare("layer.backward(top, [True], bottom) → bottom[0].diff", run.backward(dy), dy * s, [
            Mistake("no_scale", dy, "backward multiplies dy by the slope of the line, which is s"),
            Mistake("forward_again", dy * s + b, "b does not depend on x, so it has no part in dx"),
            *layer_checks.known_of_dx(dy * s)])

    Expected values come from the definition, written as loops, or from difference quotients, or from minicaffe's own
    layer; never from the solution. The values of `Mistake` are what known mistakes give. The first one that agrees
    with the student's value is the diagnosis. Where none agrees, `compare` itself recognises a turned sign, a constant
    factor, exchanged axes and a NaN. `expect` is for what is no array. A check must not raise `Wrong` inside
    a function that it hands to the student's code, which could catch it: note there what is wrong, and raise it after
    the call.

    `layer_checks.py` has a `Run`, a layer of the student's between blobs, and the rules that hold for every layer: who
    writes a new layer step calls these too. A student's file may not import minicaffe, unless checks.py says
    `ALLOW_MINICAFFE = True`; the checks may.

    What stands in `tests/course/`:
        solutions/s07/my_caffe/FILE.py   a solution: the files of the step, finished, without those that the step gives
                                         whole. It may have changed files of
                                         earlier steps, if the page asks for changes.
        wrong/s07.py                     WRONG = [Variant(name, file, old, new, hint), …]: at least five edits of the
                                         solution, each a mistake that students make, with the name of the diagnosis
                                         that it must get. `old` stands once in the file.
    `tests/course/test_steps.py` finds all of this by the number of the step. `ARCHITECTURE.md` lists the folder.

    To try a step: `pytest tests/course -k s07`.
"""
