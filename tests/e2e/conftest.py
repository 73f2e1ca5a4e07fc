"""Fixtures: one Postgres a run; a stack (a Redis, a new database) a file, or a test."""
import itertools
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from harness import Stack  # noqa: E402
from servers import Postgres, new_directory, template  # noqa: E402

_users = itertools.count(1)


@pytest.fixture(scope="session")
def postgres():
    directory = new_directory()
    cache = Path(os.environ.get("TESTS_CACHE", "/tmp/heddle-tests-cache"))
    server = Postgres(directory / "pg", template(cache))
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def stack(postgres):
    with Stack(postgres) as stack:
        yield stack


@pytest.fixture
def new_stack(postgres):
    """A stack for one test."""
    with Stack(postgres) as stack:
        yield stack


@pytest.fixture
def client(stack):
    return stack.client


@pytest.fixture
def user():
    """A user whom no other test has."""
    return f"user-{next(_users)}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows what the processors logged where a test failed."""
    report = (yield).get_result()
    stacks = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Stack)]
    for stack in stacks if report.failed else ():
        for processor in stack.processors[-4:]:
            report.sections.append((processor.log_path.name, processor.log()[-3000:]))
