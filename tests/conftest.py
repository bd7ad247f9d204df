"""Every test starts from the same random state, and is skipped where it needs a package that is not installed."""

import signal
from collections.abc import Generator

import pytest
from extras import reason

from minicaffe import rng
from minicaffe.errors import EngineError

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # `pytest &` in a script: programs under test would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def seeded():
    """Seed the process's generator as Caffe's own tests do."""
    rng.seed(1701)


def skip_without_extra() -> Generator[None, object, object]:
    """Skip the test out of which the error comes that names the extra to install; one that expects it keeps it."""
    try:
        return (yield)
    except (EngineError, ModuleNotFoundError) as error:
        if words := reason(error):
            pytest.skip(words)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup():
    """In a test's fixtures."""
    return (yield from skip_without_extra())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """And in the test."""
    return (yield from skip_without_extra())
