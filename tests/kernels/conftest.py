"""Every test leaves the process's engine and threads as it found them."""

import pytest

from minicaffe import kernels


@pytest.fixture(autouse=True)
def _same_process():
    engine, threads = kernels.engine(), kernels.threads()
    yield
    kernels.use_engine(engine)
    kernels.set_threads(threads)
