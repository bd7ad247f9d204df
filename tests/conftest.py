"""Every test starts from the same random state."""

import pytest

from minicaffe import rng


@pytest.fixture(autouse=True)
def seeded():
    """Seed the process's generator as Caffe's own tests do."""
    rng.seed(1701)
