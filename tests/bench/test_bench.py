"""The whole benchmark, tiny: that every measurement can be made and counts right. No times."""
import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from report import Result, as_text  # noqa: E402

COUNTS = {  # of `bench --smoke`
    "pgbench transaction, 2 connections": 1000,
    "pgbench statement, 2 connections": 1000,
    "heddle queued, 1x8 workers": 1000,
    "heddle overlapped, 1x8 workers": 1000,
    "heddle 1x8 workers": 200,
}
OF_ITS_OWN_LENGTH = {"pgbench transaction", "pgbench statement", "heddle corpus, 2x4 workers"}


def test_every_measurement_is_made_and_leaves_what_it_counted():
    done = subprocess.run([HERE / "bench", "--smoke", "--output", "json"], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    results = {result["name"]: result for result in answer["results"]}
    assert results.keys() == COUNTS.keys() | OF_ITS_OWN_LENGTH
    assert {name: results[name]["operations"] for name in COUNTS} == COUNTS
    for result in answer["results"]:
        assert result["operations"] > 0 and result["cpu_s"]["postgres"] > 0, result
    assert {"synchronous_commit=on", "fsync=on"} <= set(
        re.split("[,;] ", answer["conditions"]["postgres"]))
    assert_table_names_all(answer)


def assert_table_names_all(answer: dict) -> None:
    rows = [Result(**{key: value for key, value in result.items() if key != "rate"})
            for result in answer["results"]]
    table = as_text(answer["conditions"], rows)
    assert all(row.name in table for row in rows)


def test_a_program_that_is_not_built_is_named():
    done = subprocess.run([HERE / "bench", "--build", "/nowhere"], capture_output=True, text=True,
                          timeout=30, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 2
    assert "/nowhere/bin/heddle is not built" in done.stderr
