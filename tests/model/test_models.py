"""The protocols hold within their bounds; and without any one of their rules they don't."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from models import END, HOLD, MUTANTS, WITNESSES, Run, check  # noqa: E402


def sentence(run: Run) -> str:
    return f"{run.model}: {run.says}"


@pytest.mark.parametrize("run", HOLD, ids=sentence)
def test_the_protocol_keeps_its_promises_with(run):
    assert check(run).broken is None


@pytest.mark.parametrize("run", END, ids=sentence)
def test_everything_ends_with(run):
    assert check(run).broken is None


@pytest.mark.parametrize("run", MUTANTS, ids=sentence)
def test_a_promise_is_broken_where(run):
    assert check(run).broken == run.breaks


@pytest.mark.parametrize("run", WITNESSES, ids=sentence)
def test_it_comes_to_this_that(run):
    assert check(run).broken == run.breaks
