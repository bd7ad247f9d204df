"""What a training draws follows from seed, update, part of the batch and layer; from nothing that was drawn before."""

import json
import re
import zlib

import numpy as np
import pytest
from extras import needs
from nets import feed, make

from minicaffe import rng
from minicaffe.errors import SolverError
from minicaffe.proto import Datum, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.rng import PassDraws
from minicaffe.solvers import get_solver
from minicaffe.solvers.resume import resume_file

NOISY = """
  layer { name: "data" type: "DummyData" top: "x" top: "t" dummy_data_param { shape { dim: 5 dim: 3 } shape { dim: 5 }
          data_filler { type: "gaussian" } data_filler { value: 1 } } }
  layer { name: "drop" type: "Dropout" bottom: "x" top: "xd" dropout_param { dropout_ratio: 0.25 } }
  %s
  layer { name: "ip" type: "InnerProduct" bottom: "xd" top: "ip"
          inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }"""


def solver_on(fields, more=""):
    return get_solver(proto_text.parse(f'net_param {{ {NOISY % more} }} base_lr: 0.1 lr_policy: "fixed" {fields}',
                                       SolverParameter()))


def drawn(solver, updates):
    """What DummyData and Dropout drew in each pass of so many updates, in one list."""
    net, found = solver.net, []
    net.after_layer.append(lambda i: found.extend(
        [net.blobs["x"].data.copy(), net.layers[i].m.copy()] if net.layer_names[i] == "drop" else []))
    solver.step(updates)
    return found


def test_the_mask_is_that_of_seed_update_part_and_layer():
    """Dropout's mask in the passes of two updates with iter_size 3, against the generator for that place."""
    masks = drawn(solver_on("random_seed: 9 iter_size: 3"), 2)[1::2]
    draws = PassDraws()
    assert 6 == len(masks)
    for n, mask in enumerate(masks):
        with draws.during(9, n // 3, n % 3, 0):
            expected = np.where(draws.of("drop").random((5, 3)) >= 0.25, np.float32(1 / 0.75), 0)
        np.testing.assert_array_equal(expected, mask)


@pytest.mark.parametrize("other", ["tests", "another layer", "a forward in between", "draws of the program"])
def test_nothing_else_changes_what_is_drawn(other):
    """Tests of a net with random data, one more layer that draws, and draws outside of the training leave it alone."""
    expected = drawn(solver_on("random_seed: 9 iter_size: 2"), 4)
    more = 'layer { name: "too" type: "Dropout" bottom: "x" top: "unused" }' if other == "another layer" else ""
    tests = "test_iter: 3 test_interval: 1" if other == "tests" else ""
    solver = solver_on(f"random_seed: 9 iter_size: 2 {tests}", more)
    if other == "a forward in between":
        solver.on_update.append(lambda: _forward_alone(solver.net))
    if other == "draws of the program":
        solver.on_start.append(lambda: rng.generator().random(3))

    found = drawn(solver, 4)
    assert 16 == len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def _forward_alone(net):
    """Run a net forward without the hook that notes what was drawn."""
    kept = net.after_layer[:]
    net.after_layer.clear()
    net.forward()
    net.after_layer.extend(kept)


def test_each_batch_of_a_test_draws_its_own():
    """The batches of a test, of the next test, and of another test net all differ from each other and from training."""
    solver = solver_on('random_seed: 9 test_iter: [2, 2] test_interval: 1 test_state {} test_state { stage: "b" }')
    seen = []
    for net in (solver.net, *solver.test_nets):
        net.after_layer.append(lambda i, net=net: i or seen.append(tuple(net.blobs["x"].data.ravel())))
    solver.step(2)

    assert 10 == len(seen) == len(set(seen))


def test_without_random_seed_the_process_decides():
    """Two trainings draw differently, but the same after the same `rng.seed`; fillers get what they got before."""
    rng.seed(5)
    first, second = solver_on(""), solver_on("")
    rng.seed(5)
    third = solver_on("")

    rng.seed(5)
    weights = rng.generator().uniform(-1, 1, (4, 3)).astype(np.float32)  # xavier with 3 inputs: √(3 / 3)
    for solver in (first, third):
        np.testing.assert_array_equal(weights, solver.net.params["ip"][0].data)
    assert first.draw_seed == third.draw_seed != second.draw_seed
    np.testing.assert_array_equal(drawn(first, 1)[1], drawn(third, 1)[1])


# --- trainings of the old rule -------------------------------------------------------------------------------------


def make_old(path):
    """Turn a resume file into one of version 1, which has no draw_seed."""
    content = json.loads(path.read_bytes().split(b"\n")[1])
    del content["draw_seed"]
    line = json.dumps(content).encode()
    path.write_bytes(b"minicaffe resume 1 %08x\n%s\n" % (zlib.crc32(line), line))


def test_a_training_of_the_old_rule_goes_on_by_it(tmp_path):
    """Its numbers come from the process's generator, also after another stop, which keeps the rule in the file."""
    fields = f'random_seed: 9 iter_size: 2 snapshot_prefix: "{tmp_path}/s" snapshot: 2'
    solver = solver_on(fields)
    solver.draw_seed = None
    expected = drawn(solver, 6)
    make_old(tmp_path / "s_iter_2.resume")
    again = solver_on(fields)
    again.restore(f"{tmp_path}/s_iter_2.solverstate")
    found = drawn(again, 2)
    assert resume_file.read(tmp_path / "s_iter_4.resume")["draw_seed"] is None
    third = solver_on(fields)
    third.restore(f"{tmp_path}/s_iter_4.solverstate")
    found += drawn(third, 2)

    for mine, theirs in zip(found, expected[8:], strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("transform", "refused"), [
    ("", False), ("transform_param { scale: 0.5 }", False), ("transform_param { mirror: true }", True),
    ("transform_param { crop_size: 4 }", True)])
def test_old_crops_and_mirrors_are_not_gone_on_with(tmp_path, transform, refused):
    """A snapshot whose samples were drawn for in the old way is refused, and nothing changes; others go on."""
    needs("lmdb")
    from minicaffe.data.lmdb import write_lmdb

    pixels = np.random.default_rng(2).integers(256, size=(7, 3, 6, 5), dtype=np.uint8)
    write_lmdb(tmp_path / "db", [(f"{i}", Datum(channels=3, height=6, width=5, label=i % 4, data=pixels[i].tobytes()))
                                 for i in range(7)])
    data = (f'layer {{ name: "data" top: "x" top: "t" type: "Data" {transform} '
            f'data_param {{ source: "{tmp_path}/db" batch_size: 2 backend: LMDB }} }}')
    net = data + NOISY[NOISY.index("  layer", 9):] % ""
    fields = f'base_lr: 0.001 lr_policy: "fixed" random_seed: 1 snapshot_prefix: "{tmp_path}/s" snapshot: 2'
    made = [get_solver(proto_text.parse(f"net_param {{ {net} }} {fields}", SolverParameter())) for _ in range(2)]
    made[0].step(2)
    make_old(tmp_path / "s_iter_2.resume")
    before = made[1].net.params["ip"][0].data.copy()
    if not refused:
        made[1].restore(f"{tmp_path}/s_iter_2.solverstate")
        assert 2 == made[1].iter
        return
    with pytest.raises(SolverError, match=r"s_iter_2\.resume: .* older minicaffe, .*: data \(Data\)") as error:
        made[1].restore(f"{tmp_path}/s_iter_2.solverstate")
    assert f"remove {tmp_path}/s_iter_2.resume" in error.value.hint
    assert 0 == made[1].iter
    np.testing.assert_array_equal(before, made[1].net.params["ip"][0].data)


def test_files_without_chance_are_read_as_before(tmp_path):
    """A net that draws nothing goes on from an old file with the same numbers."""
    first = feed(make(f'random_seed: 1 momentum: 0.9 snapshot: 2 snapshot_prefix: "{tmp_path}/s"'))
    first.step(4)
    make_old(tmp_path / "s_iter_2.resume")
    second = feed(make(f'random_seed: 1 momentum: 0.9 snapshot_prefix: "{tmp_path}/s"'))
    second.restore(f"{tmp_path}/s_iter_2.solverstate")
    second.step(2)

    assert re.match(rb"minicaffe resume 1 ", (tmp_path / "s_iter_2.resume").read_bytes())
    np.testing.assert_array_equal(first.net.params["ip"][0].data, second.net.params["ip"][0].data)
