"""Turns: where the batches of a process begin, and that it reads no others."""

import copy
import itertools

import numpy as np
import pytest

from minicaffe.data import rows as data_rows
from minicaffe.data.batches import Batches, Sample
from minicaffe.data.rows import FilesOrder, RowBatches
from minicaffe.data.transformer import Transformer
from minicaffe.data.turns import InTurns, Turns, after
from minicaffe.errors import DataError
from minicaffe.proto import TRAIN, TransformationParameter

EPOCH, N, PARTS = 23, 5, 4  # neither a batch nor an update divides the epoch
RANKS = (1, 2, 4)


class Counted:
    """Samples of one number each, which note what is asked of them. Those in `bad` cannot be read."""

    def __init__(self, bad=()):
        self.bad, self.asked, self.expected = bad, [], []

    def __len__(self):
        return EPOCH

    def load(self, numbers):
        self.asked += numbers
        return [DataError(f"{i} is bad") if i in self.bad else
                Sample(str(i), str(i), np.full((1, 2, 3), i, np.float32), i) for i in numbers]

    def expect(self, numbers):
        self.expected += numbers

    def reuse(self, images):
        pass


def batches_of(turns=None, bad=(), **more):
    transformer = Transformer(TransformationParameter(), TRAIN, "layer 'd' (Data)")
    made = Batches(Counted(bad), transformer, N, skip_bad=bool(bad), **more)
    made.turns = turns
    return made


def shares(ranks, of=PARTS):
    """The turns of each rank."""
    return [Turns(rank * of // ranks, of // ranks, of) for rank in range(ranks)]


def in_order(make, ranks, updates):
    """The batches of all ranks, one after the other as one process reads them."""
    made = [make(turns) for turns in shares(ranks)]
    found = []
    for _ in range(updates):
        assert len({(one.cursor, one.turn) for one in made}) == 1
        for one in made:
            found += [one() for _ in range(PARTS // ranks)]
    return found


@pytest.mark.parametrize("epoch", [None, 1, 7, 20, 23])
@pytest.mark.parametrize("cursor", [0, 3, 20, 23, 45, 46])
def test_the_place_after_some_batches(cursor, epoch):
    """It is found at once, and is that to which one batch after the other leads."""
    place = cursor
    for count in range(40):
        assert place == after(cursor, count, N, epoch)
        place += N if epoch is None else min(N, epoch - place % epoch)


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("more", [{}, {"shuffle": 4}, {"whole_epochs": True}, {"cursor": 17}], ids=str)
def test_all_ranks_together_read_what_one_process_reads(ranks, more):
    """Also where the epoch ends in the middle of an update, and a shuffle gives the next one another order."""
    one = batches_of(**more)
    expected = [one() for _ in range(6 * PARTS)]
    found = in_order(lambda turns: batches_of(turns, **more), ranks, 6)

    assert [batch.keys for batch in expected] == [batch.keys for batch in found]
    assert [batch.cursor for batch in expected][PARTS - 1::PARTS] == [batch.cursor for batch in found][PARTS - 1::PARTS]
    assert sum(batch.restarts for batch in expected) == sum(batch.restarts for batch in found) // ranks > 0


@pytest.mark.parametrize("more", [{}, {"shuffle": 4}, {"whole_epochs": True}], ids=str)
@pytest.mark.parametrize("ranks", [2, 4])
def test_a_rank_reads_its_own_samples_alone(ranks, more):
    """Neither what it loads nor what it begins to decode in advance belongs to another rank."""
    for turns in shares(ranks):
        one = batches_of(turns, **more)
        keys = [key for _ in range(3 * turns.count) for key in one().keys]
        assert keys == [str(i) for i in one.samples.asked]
        then = [*map(int, keys[1:]), *map(int, one().keys)]
        assert then == one.samples.expected[:len(then)]
        assert len(one.samples.expected) - len(then) in (N, EPOCH % N)  # of one more batch


def test_bad_samples_move_no_batch():
    """The samples that follow take their places, and come again in their own batch, whoever reads it."""
    bad = (3, 4, 8, 20, 21, 22)
    make = lambda turns: batches_of(turns, bad)  # noqa: E731
    found = [[int(key) for key in batch.keys] for batch in in_order(make, 1, 4)]

    endless = np.arange(200) % EPOCH
    for number, batch in enumerate(found):
        assert [i for i in endless[number * N:] if i not in bad][:N] == batch
    for ranks in RANKS:
        assert found == [[int(key) for key in batch.keys] for batch in in_order(make, ranks, 4)]
    without = batches_of(bad=bad)
    assert [0, 1, 2, 5, 6] == found[0] == [int(key) for key in without().keys]
    assert 5 == found[1][0] != int(without().keys[0])


def test_a_smaller_batch_of_bad_samples():
    """With whole epochs a batch without its bad samples is smaller; one without any sample is replaced, and says so."""
    bad = (3, 20, 21, 22)
    make = lambda turns: batches_of(turns, bad, whole_epochs=True)  # noqa: E731
    for ranks in RANKS:
        found = in_order(make, ranks, 5)
        sizes = [4, 5, 5, 5, 4] * 4  # the fifth batch of an epoch takes its samples from the next one
        assert sizes == [len(batch.keys) for batch in found]
        assert [False, False, False, False, True] * 4 == [batch.stands_in for batch in found]


def test_without_turns_the_next_batch_takes_the_place_of_a_bad_one():
    """Then no batch only stands in for another."""
    one = batches_of(bad=(20, 21, 22), whole_epochs=True)
    assert not any(one().stands_in for _ in range(12))


def test_where_the_turn_counts_from():
    """A new place begins an update, unless it says how much of one is read; a copy stands where the original does."""
    one = batches_of(Turns(2, 2, PARTS))
    begins = [one().keys[0] for _ in range(3)]
    again = copy.deepcopy(one)
    assert ["10", "15", "7"] == begins  # the update ends at 20: 20 + 10 is place 7 of the second epoch
    assert (25, 1) == (one.cursor, one.turn)
    assert one().keys == again().keys == ["12", "13", "14", "15", "16"]
    assert (40, 0) == (one.cursor, one.turn) == (again.cursor, again.turn)
    one.seek(25, 1)
    assert ["12", "4"] == [one().keys[0] for _ in range(2)]  # 35, and then 40 + 10 of the next update
    one.seek(25)
    assert ["12", "17"] == [one().keys[0] for _ in range(2)]  # 35 and 40, both of the update that begins at 25


def test_all_turns_are_no_turns():
    """A process that reads all batches reads them one after the other."""
    one, other = InTurns(), InTurns()
    one.batch_size = other.batch_size = N
    one.turns = Turns(0, PARTS, PARTS)
    for _ in range(3 * PARTS):
        assert one.begin() == other.begin()
        assert one.begin_after(one.begin() + N) == other.begin_after(other.begin() + N)
        one.move(one.begin() + N)
        other.move(other.begin() + N)


# --- rows -----------------------------------------------------------------------------------------------------------


class CountedRows:
    """Rows of two numbers, which note what is asked of them; `kept` says that all of them are in memory."""

    shapes, together = [(2,)], 1

    def __init__(self, kept):
        self.kept, self.asked = kept, []

    def __len__(self):
        return EPOCH

    def read(self, numbers):
        self.asked.append(numbers.tolist())
        return [np.stack([numbers, -numbers], axis=1)]

    def keys(self, numbers):
        return [str(i) for i in numbers]


def row_batches(turns, kept=False, shuffled=False, whole_epochs=False):
    made = RowBatches(CountedRows(kept), lambda seed: FilesOrder([9, 14], seed), N, shuffled=shuffled,
                      seed=6 if shuffled else None)
    made.turns, made.whole_epochs = turns, whole_epochs
    return made


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("more", [{}, {"shuffled": True}, {"whole_epochs": True}, {"kept": True}], ids=str)
def test_rows(monkeypatch, ranks, more):
    """All ranks together read the rows that one process reads, and each reads its own alone, some batches at once."""
    for name in ("IN_ORDER", "SHUFFLED"):
        monkeypatch.setattr(data_rows, name, 13 * 8)  # the bytes of thirteen rows
    one, made = row_batches(None, **more), []

    def make(turns):
        made.append(row_batches(turns, **more))
        return made[-1]

    expected = [one() for _ in range(6 * PARTS)]
    found = in_order(make, ranks, 6)
    assert [(batch.keys, batch.tops[0].tolist()) for batch in expected] == \
           [(batch.keys, batch.tops[0].tolist()) for batch in found]
    for rank, reader in enumerate(made):
        count = PARTS // ranks
        own = [int(key) for i, batch in enumerate(found) if i % PARTS // count == rank for key in batch.keys]
        asked = list(itertools.chain(*reader.rows.asked))
        assert own == asked[:len(own)]
        assert (len(reader.rows.asked) < 6 * count) != more.get("kept", False)
