"""The tests' own test, of the rules of lanes, ledger and journal."""
import pytest
from mutants import Mutant, assert_found, copy  # noqa: F401

MUTANTS = {
    "a worker without its lane's lock": Mutant(
        "src/engine/runner.c", "userlock_acquire(shared->locks, claim->lane)",
        "userlock_acquire(shared->locks, (struct heddle_text){(char *)&claim, sizeof claim})",
        "test_zombies.py::test_a_process_that_lost_a_lane_does_not_enter_it_twice"),
    "a claim without order": Mutant(
        "src/queue/lua/lanes.lua", "call('LRANGE', k.lane .. lane, 0, most - 1)",
        "call('LRANGE', k.lane .. lane, -most, -1)",
        "test_order.py::test_transactions_of_a_lane_never_overlap_and_keep_its_order"),
    "a settlement in parts that frees the lane": Mutant(
        "src/queue/lua/settle.lua", "if disposition == 'keep' then return held",
        "if disposition == 'keep' then make_ready(k, lane, tag) return held",
        "test_order.py::test_outside_calls_of_a_lane_never_overlap_and_keep_its_order"),
    "a ledger that lets a duplicate pass": Mutant(
        "src/ledger/ledger.c", ", 'running')\"", ", 'running') on conflict do nothing\"",
        "test_zombies.py::test_a_pipeline_that_arrives_after_its_lane_moved_on_has_no_effect"),
    "a journal whose operations may overtake": Mutant(
        "src/ledger/sql/0011_lanes.sql", "where lane = entry.user_id and class = entry.class and seq = entry.prev;",
        "where lane = entry.user_id and class = entry.class;",
        "test_durable.py::test_a_later_operation_never_runs_before_an_earlier_one"),
    "no reconciler": Mutant(
        "src/engine/relay.c", "relay->is_leader && clock_now_ms() >= relay->next_reconcile_ms", "false",
        "test_durable.py::test_what_redis_lost_comes_back_without_any_other_traffic"),
    "a supervisor that frees nothing": Mutant(
        "src/engine/supervisor.c", "if (!death->is_clean && was_ready) {", "if (false && !death->is_clean && was_ready) {",
        "test_supervisor.py::test_a_killed_processors_operation_and_the_next_one_are_done_below_a_second_later"),
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_the_guard_finds(copy, mutant):
    assert_found(copy, mutant)
