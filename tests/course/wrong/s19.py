"""Mistakes of step 19, snapshot and resume to the bit."""

from course_tools import Variant

FILE = "my_caffe/snapshot.py"
WRITE = """    part = path + ".part"
    with open(part, "wb") as file:
        np.savez(file, **arrays)
    os.replace(part, path)
"""
WEIGHTS = 'arrays[f"weights/{i}"] = blob.data'
READ = 'blob.data[...] = arrays[f"weights/{i}"]'
V = 'solver.history[i][...] = arrays[f"history/{i}"]'
CHECK = """    if stored != shapes:
        raise ValueError(f"{path} has weights of the shapes {stored}, the net needs {shapes}")
"""
RNG = 'training.rng.bit_generator.state = json.loads(str(arrays["rng"]))'
LOOP = '    for i, blob in enumerate(params):\n'
ONE = """        if stored.get(f"weights/{i}") != blob.shape:
            raise ValueError("another net")
"""
WRONG = [
    Variant("savez with a name", FILE, WRITE, "    np.savez(path, **arrays)\n", "npz_appended"),
    Variant("written into the old file", FILE, WRITE,
            '    with open(path, "wb") as file:\n        np.savez(file, **arrays)\n', "written_over"),
    Variant("removed and written", FILE, WRITE, '    open(path, "a").close()\n    with open(path, "r+b") as file:\n'
            "        file.truncate(0)\n        np.savez(file, **arrays)\n", "written_over"),
    Variant("copied from another file", FILE, "    os.replace(part, path)\n",
            "    import shutil\n    shutil.copyfile(part, path)\n", "other_files_left"),
    Variant("the old file is kept", FILE, "    os.replace(part, path)\n",
            "    if os.path.exists(path):\n        os.remove(part)\n    else:\n        os.replace(part, path)\n",
            "old_snapshot_kept"),
    Variant("the diffs for the weights", FILE, WEIGHTS, 'arrays[f"weights/{i}"] = blob.diff', "diff_for_data"),
    Variant("half of the digits", FILE, WEIGHTS, 'arrays[f"weights/{i}"] = blob.data.astype(np.float32)',
            "half_the_digits"),
    Variant("rounded", FILE, WEIGHTS, 'arrays[f"weights/{i}"] = blob.data.round(6)', "digits_lost"),
    Variant("the weights are read and not written", FILE, READ, 'data = arrays[f"weights/{i}"]', "weights_forgotten"),
    Variant("the weights are another array", FILE, READ, 'blob.data = arrays[f"weights/{i}"]', "data_replaced"),
    Variant("no history", FILE, V, "pass", "history_forgotten"),
    Variant("the weights for the history", FILE, V, 'solver.history[i][...] = arrays[f"weights/{i}"]',
            "weights_for_history"),
    Variant("no iteration", FILE, 'solver.iteration = int(arrays["iteration"])', "pass", "iteration_forgotten"),
    Variant("the iteration is an array", FILE, 'int(arrays["iteration"])', 'arrays["iteration"]',
            "iteration_is_no_int"),
    Variant("no order", FILE, 'training.order = arrays["order"]', "pass", "order_forgotten"),
    Variant("a new round after the snapshot", FILE, RNG, RNG + "\n    training.order = training.rng.permutation("
            "len(training.x))", "order_drawn_anew"),
    Variant("the order as real numbers", FILE, '"order": training.order', '"order": training.order * 1.0',
            "order_is_no_int"),
    Variant("no place", FILE, 'training.place = int(arrays["place"])', "training.place = 0", "place_forgotten"),
    Variant("no rng", FILE, RNG, "pass", "rng_forgotten"),
    Variant("the rng from its seed", FILE, RNG, "training.rng = np.random.default_rng(5)\n"
            "    training.rng.permutation(len(training.x))", "rng_from_its_seed"),
    Variant("no states of layers", FILE, "if hasattr(layer, name)", "if False", "state_forgotten"),
    Variant("the state alone", FILE, '("state", "cell")', '("state",)', "state_forgotten"),
    Variant("one name for both", FILE, 'return {f"{name}/{i}"', 'return {f"state/{i}"', "state_forgotten"),
    Variant("nothing is compared", FILE, CHECK, "", "not_refused"),
    Variant("blobs are compared one by one", FILE, CHECK + LOOP, LOOP + ONE, "not_refused"),
    Variant("compared on the way", FILE, CHECK, "    solver.iteration = int(arrays['iteration'])\n" + CHECK,
            "half_restored"),
    Variant("save draws from rng", FILE, "    solver = training.solver\n",
            "    solver = training.solver\n    training.rng.random()\n", "save_changes_the_training"),
]
