"""The tests' own test: a program with one rule broken must fail the test that guards the rule."""
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Mutant:
    file: str
    old: str
    new: str
    guard: str  # the test that must fail, as FILE::PREFIX_OF_ITS_NAME, or PROGRAM::NAME of integration


MUTANTS = {
    "a worker without its lane's lock": Mutant(
        "src/engine/runner.c", "userlock_acquire(shared->locks, claim->lane)",
        "userlock_acquire(shared->locks, (struct heddle_text){(char *)&claim, sizeof claim})",
        "test_zombies.py::test_a_process_that_lost_a_lane_does_not_enter_it_twice"),
    "a claim without order": Mutant(
        "src/queue/lua/claim.lua", "call('LRANGE', k.lane .. lanes[i], 0, most - 1)",
        "call('LRANGE', k.lane .. lanes[i], -most, -1)",
        "test_order.py::test_transactions_of_a_lane_never_overlap_and_keep_its_order"),
    "a settlement in parts that frees the lane": Mutant(
        "src/queue/lua/settle.lua", "if disposition == 'keep' then return held",
        "if disposition == 'keep' then make_ready(k, lane, tag) return held",
        "test_order.py::test_outside_calls_of_a_lane_never_overlap_and_keep_its_order"),
    "a ledger that lets a duplicate pass": Mutant(
        "src/ledger/ledger.c", ", 'running')\"", ", 'running') on conflict do nothing\"",
        "test_zombies.py::test_a_pipeline_that_arrives_after_its_lane_moved_on_has_no_effect"),
    "a journal whose operations may overtake": Mutant(
        "src/ledger/sql/0004_ends.sql", "where lane = entry.user_id and seq = entry.prev;",
        "where lane = entry.user_id;",
        "test_durable.py::test_a_later_operation_never_runs_before_an_earlier_one"),
    "no reconciler": Mutant(
        "src/engine/relay.c", "relay->is_leader && clock_now_ms() >= relay->next_reconcile_ms", "false",
        "test_durable.py::test_what_redis_lost_comes_back_without_any_other_traffic"),
    "a supervisor that frees nothing": Mutant(
        "src/engine/supervisor.c", "if (!death->is_clean && was_ready) {", "if (false && !death->is_clean && was_ready) {",
        "test_supervisor.py::test_a_killed_processors_operation_and_the_next_one_are_done_below_a_second_later"),
    "a bundle whose lanes are entered as they come": Mutant(
        "src/engine/bundle.c", "qsort(bundle->lanes, count, sizeof *bundle->lanes, compare_lanes);", "",
        "bundle::lanes_are_entered_in_the_order_of_their_names"),
    "a bundle that holds the first of its lanes alone": Mutant(
        "src/engine/bundle_unit.c", "keys, bundle->lane_count,", "keys, 1,",
        "bundle::a_lane_that_a_zombie_holds_waits_and_the_others_don_t"),
    "a bundle that charges all for the failure of one": Mutant(
        "src/engine/bundle.c", "*until = claim->done + lane->count;",
        "*until = claim->done + lane->count, claim->operations[claim->done].operation.attempt++;",
        "bundle::a_set_that_fails_costs_only_the_one_at_fault"),
    "a refusal in a bundle whose effects stay": Mutant(
        "src/engine/bundle_unit.c", "if (item->status != HEDDLE_OK || is_read)", "if (is_read)",
        "bundle::kinds_of_operations_mix_in_a_bundle"),
    "a reader in a bundle that may write": Mutant(
        "src/engine/bundle_unit.c", "if (status == HEDDLE_OK && is_pure_read(item))", "if (false)",
        "bundle::a_reader_in_a_bundle_cannot_write_and_those_behind_it_can"),
    "a bundle of any number of savepoints": Mutant(
        "src/engine/bundle_unit.c", "enum { SAVEPOINTS_MAX = 64 };", "enum { SAVEPOINTS_MAX = 100000 };",
        "bundle::never_more_than_64_savepoints"),
    "a bundle that lets a duplicate pass": Mutant(
        "src/ledger/receipts.c", " as e (id, state, code, result, error, user_id, op, thread, digest, submitted_us)\"",
        " as e (id, state, code, result, error, user_id, op, thread, digest, submitted_us) on conflict do nothing\"",
        "bundle::what_the_ledger_has_is_recalled_and_not_repeated"),
    "a bundle whose operations don't follow each other": Mutant(
        "src/ledger/sql/0005_bundles.sql", "bool_and(is_new and prev = coalesce(before, prev))", "bool_and(is_new)",
        "bundle_journal::a_gap_is_found_and_what_is_before_it_is_done"),
    "a bundle that overtakes": Mutant(
        "src/ledger/sql/0005_bundles.sql", "and h.lane = m.lane and h.seq = m.head\n", "and h.lane = m.lane\n",
        "bundle_journal::what_stands_behind_a_gap_is_not_begun"),
    "a savepoint that is not set, for what was sent before it has failed": Mutant(
        "src/ledger/uow.c", "uow->has_savepoint ? uow_flush(uow, err) : HEDDLE_OK", "HEDDLE_OK",
        "bundle_journal::places_that_are_not_to_be_had_cost_no_effects"),
    "a bundle that runs what has ended": Mutant(
        "src/ledger/sql/0005_bundles.sql", "o.state = 'queued' and o.attempt = 0 as is_new", "true as is_new",
        "bundle_journal::what_is_cancelled_in_the_ledger_takes_its_place_and_no_effect"),
}


@pytest.fixture(scope="module")
def copy():
    """A copy of the source, with a build folder that all mutants share."""
    directory = Path(tempfile.mkdtemp(prefix="heddle-mutants-", dir="/tmp"))
    for name in ("include", "src", "workers", "tests"):
        shutil.copytree(REPOSITORY / name, directory / name)
    shutil.copy(REPOSITORY / "CMakeLists.txt", directory)
    subprocess.run(["cmake", "-S", directory, "-B", directory / "build", "-G", "Ninja",
                    "-DCMAKE_C_FLAGS=-O1 -w"], check=True, stdout=subprocess.DEVNULL)
    yield directory
    shutil.rmtree(directory)


def run_guard(copy: Path, guard: str) -> subprocess.CompletedProcess:
    build = copy / "build"
    file, name = guard.split("::")
    is_program = not file.endswith(".py")
    targets = [f"integration_{file}"] if is_program else ["heddle", "heddle-probe"]
    subprocess.run(["cmake", "--build", build, "--target", *targets], check=True,
                   stdout=subprocess.DEVNULL)
    if is_program:
        # One that hangs has failed before.
        return subprocess.run([copy / "tests/support/with-servers", "timeout", "60", build / "tests" / targets[0]],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return subprocess.run(
        ["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line",
         copy / "tests/e2e" / file, "-k", name], capture_output=True, text=True,
        env={**os.environ, "TESTS_HEDDLE": str(build / "bin/heddle"),
             "TESTS_PROBE": str(build / "tests/heddle-probe")})


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_the_guard_finds(copy, mutant):
    file = copy / mutant.file
    whole = file.read_text()
    assert whole.count(mutant.old) == 1, "the mutant no longer fits the source"
    file.write_text(whole.replace(mutant.old, mutant.new))
    try:
        done = run_guard(copy, mutant.guard)
    finally:
        file.write_text(whole)
    print(done.stdout[-2000:])
    assert done.returncode > 0
    assert re.search(r"^(FAILED|\[  FAILED  \]) .*" + mutant.guard.split("::")[1], done.stdout, re.M)
