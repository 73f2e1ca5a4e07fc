"""The whole benchmark, tiny: that every measurement can be made and counts right. No times.

Other queues take part where they are installed: the rest, which this repository brings, must.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

from contestants.peers import PEERS_ALL  # noqa: E402
from report import Result, as_text  # noqa: E402
from targets import TARGETS  # noqa: E402
from workload import Work  # noqa: E402

COUNTS = {  # of `bench --smoke`: figure, contestant
    ("message", "pgbench transaction x2"): 1000,
    ("message", "pgbench statement x2"): 1000,
    ("message", "heddle 1x8"): 1000,
    ("message_wide", "heddle 1x8"): 1000,
    ("message_durable", "heddle 1x8"): 1000,
    ("noop_bursts", "heddle 1x8"): 1000,
    ("noop_rounds", "heddle 1x8"): 1000,
    ("noop_wide", "heddle 1x8"): 1000,
    ("noop_wide", "bare Redis in C"): 1000,
    ("bulk", "heddle 1x8"): 1000,
    ("bulk", "bare Redis in C"): 1000,
    ("one", "heddle 1x8"): 1000,
    ("one", "bare Redis in C"): 1000,
    ("start", "heddle 1x8"): 200,
    ("start", "bare Redis in C"): 200,
    ("committed", "heddle 1x8"): 200,
}


def test_every_measurement_is_made_and_leaves_what_it_counted():
    done = subprocess.run([HERE / "bench", "--smoke", "--output", "json"], capture_output=True,
                          text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    counts = {(r["figure"], r["contestant"]): r["values"].get("operations") for r in answer["results"]}
    assert {key: counts.get(key) for key in COUNTS} == COUNTS
    assert all(value > 0 for result in answer["results"] for name, value in result["values"].items()
               if name in ("operations", "rate", "p50")), answer
    assert_peers_took_part_or_are_absent(answer)
    assert {"synchronous_commit=on", "fsync=on"} <= set(
        re.split("[,;] ", answer["conditions"]["postgres"]))
    assert [target["target"] for target in answer["targets"]] == [target.text for target in TARGETS]
    assert_table_names_all(answer)


def assert_peers_took_part_or_are_absent(answer: dict) -> None:
    measured = {(result["figure"], result["contestant"]) for result in answer["results"]}
    for peer in PEERS_ALL:
        if answer["conditions"][peer.name].startswith("absent: "):
            assert not any(name == peer.name for _, name in measured)
        else:
            assert {(figure, peer.name) for figure in peer.figures} <= measured


def assert_table_names_all(answer: dict) -> None:
    table = as_text(answer["conditions"], [Result(**result) for result in answer["results"]])
    assert all(result["contestant"] in table for result in answer["results"])
    assert all(target.text in table for target in TARGETS)


@pytest.mark.parametrize("told", [
    {"runs": 99, "once": 99, "repeated": 0, "early": 0},
    {"runs": 101, "once": 100, "repeated": 1, "early": 0},
    {"runs": 100, "once": 100, "repeated": 0, "early": 1}], ids=["lost", "repeated", "early"])
def test_a_wrong_count_is_noticed(told):
    work = Work("noop", count=100, users=10, burst=5)
    work.verify_runs({"runs": 100, "once": 100, "repeated": 0, "early": 0}, is_ordered=True)
    with pytest.raises(AssertionError):
        work.verify_runs(told, is_ordered=True)


@pytest.mark.parametrize("ours, verdict", [(4.1, "met"), (3.6, "tie"), (3.0, "MISSED")])
def test_a_target_is_judged_by_medians(ours, verdict):
    figures = {"message": {"heddle 1x8": [{"rate": rate * 1000} for rate in (1, ours, 9)],
                           "pgbench transaction x8": [{"rate": 1000}] * 3,
                           "pgbench transaction x4": [{"rate": 900}] * 3}}
    told, judged = TARGETS[0].judge(figures)
    assert judged == verdict and "pgbench transaction x8" in told


def test_what_was_not_measured_meets_no_target():
    assert {target.judge({})[1] for target in TARGETS} == {"?"}


def test_a_program_that_is_not_built_is_named():
    done = subprocess.run([HERE / "bench", "--build", "/nowhere"], capture_output=True, text=True,
                          timeout=30, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 2
    assert "/nowhere/bin/heddle is not built" in done.stderr
