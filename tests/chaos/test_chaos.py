"""The short version of the chaos harness: `chaos` tells more, and has a full one."""
import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

from catalogue import short_version, start  # noqa: E402
from figures import Figures  # noqa: E402

SEED = os.environ.get("TESTS_SEED", str(random.SystemRandom().randrange(10**9)))


JOBS = 4  # faults at once: most of the time they wait


@pytest.fixture(scope="module")
def played():
    with ThreadPoolExecutor(JOBS) as pool:
        yield start(pool, short_version(), SEED, is_full=False)


@pytest.fixture(scope="module")
def figures(request):
    """Shown at the end, whatever the verdict."""
    figures = Figures()
    yield figures
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\nseed {SEED}\n{figures.table()}")


@pytest.mark.parametrize("name", short_version())
def test_nothing_is_lost_repeated_or_out_of_order_under(name, played, figures):
    for outcome in played[name].result():
        figures.add(outcome)
        findings = "\n".join(outcome.findings()[:20])
        assert not findings, f"chaos --seed {SEED} --fault {name}\n{findings}\n{outcome.logs}"
        assert outcome.injected > 0 and outcome.verdict.acknowledged > 0
