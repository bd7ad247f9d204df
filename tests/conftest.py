"""Every test starts from the same random state, and is skipped where it needs a package that is not installed.

`--no-skips`, for a machine that has all of them, fails a run that skipped a test.
"""

import gc
import logging
import os
import signal
from collections.abc import Generator
from typing import Any

import pytest
from extras import reason

from minicaffe import kernels, rng
from minicaffe.errors import EngineError

logging.getLogger("minicaffe").addHandler(logging.NullHandler())  # pycaffe's nets then write no log lines on stderr
os.environ.pop("COLUMNS", None)  # what is printed has the same width wherever the tests run

THIS_MACHINE = "this machine "  # begins the reason of a skip that no installation would help against

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # `pytest &` in a script: programs under test would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from looking through some twenty thousand tests again and again: they stay anyway."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def seeded():
    """Seed the process's generator as Caffe's own tests do."""
    rng.seed(1701)


@pytest.fixture(autouse=True)
def engine_of_programs(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """A program that a test starts takes the engine numpy: to load numba costs more than most of what such tests do.

    The test itself keeps the fastest engine, and so do the programs of slow tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        if not request.node.get_closest_marker("slow"):
            kernels.engine()  # chosen before the variable would choose it
            patch.setenv("MINICAFFE_ENGINE", "numpy")
        yield


@pytest.fixture(params=kernels.available_engines())
def each_engine(request: pytest.FixtureRequest) -> Generator[str, None, None]:
    """Run the test once on every engine that is installed; the process's engine comes back after it."""
    before = kernels.engine()
    if before != request.param:
        kernels.use_engine(request.param)
    yield request.param
    if kernels.engine() != before:
        kernels.use_engine(before)


def skip_without_extra() -> Generator[None, object, object]:
    """Skip the test out of which the error comes that names the extra to install; one that expects it keeps it."""
    try:
        return (yield)
    except (EngineError, ModuleNotFoundError) as error:
        if words := reason(error):
            pytest.skip(words)
        raise


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that .ci/run gives."""
    parser.addoption("--no-skips", action="store_true", help="fail when a test was skipped for something not installed")


def skipped_for_nothing(reporter: Any) -> list[str]:
    """'test: reason' for each test, or file of tests, that was skipped for want of something that can be installed."""
    reasons = [(r.nodeid, r.longrepr[2].removeprefix("Skipped: ")) for r in reporter.stats.get("skipped", [])]
    return [f"{test}: {why}" for test, why in reasons if not why.startswith(THIS_MACHINE)]


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """With --no-skips, a run that would have been a success fails when it skipped a test."""
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and session.exitstatus == 0 and skipped_for_nothing(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Name the tests for which --no-skips fails."""
    if config.getoption("--no-skips") and (skipped := skipped_for_nothing(terminalreporter)):
        terminalreporter.section("skipped, although --no-skips says that all is installed", red=True)
        for line in skipped:
            terminalreporter.line(line, red=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup():
    """In a test's fixtures."""
    return (yield from skip_without_extra())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """And in the test."""
    return (yield from skip_without_extra())
