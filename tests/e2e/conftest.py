"""Fixtures: one pair of servers a run, one stack (Redis flushed, new database) a file."""
import itertools
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from harness import Stack  # noqa: E402
from servers import Servers  # noqa: E402

_users = itertools.count(1)


@pytest.fixture(scope="session")
def servers():
    with Servers(Path(os.environ.get("TESTS_CACHE", "/tmp/heddle-test-cache"))) as servers:
        yield servers


@pytest.fixture(scope="module")
def stack(servers):
    stack = Stack(servers)
    yield stack
    stack.close()


@pytest.fixture
def new_stack(servers):
    """A stack for one test."""
    stack = Stack(servers)
    yield stack
    stack.close()


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
