"""The tests' own test, of the rules of bundles."""
import pytest
from mutants import Mutant, assert_found, copy  # noqa: F401

MUTANTS = {
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
        "src/ledger/sql/0011_lanes.sql", "bool_and(is_new and prev = coalesce(before, prev))", "bool_and(is_new)",
        "bundle_journal::a_gap_is_found_and_what_is_before_it_is_done"),
    "a bundle that overtakes": Mutant(
        "src/ledger/sql/0011_lanes.sql", "h.class = m.class and h.seq = m.head\n", "h.class = m.class\n",
        "bundle_journal::what_stands_behind_a_gap_is_not_begun"),
    "a savepoint that is not set, for what was sent before it has failed": Mutant(
        "src/ledger/uow.c", "uow->has_savepoint ? uow_flush(uow, err) : HEDDLE_OK", "HEDDLE_OK",
        "bundle_journal::places_that_are_not_to_be_had_cost_no_effects"),
    "a bundle that runs what has ended": Mutant(
        "src/ledger/sql/0011_lanes.sql", "o.state = 'queued' and o.attempt = 0 as is_new", "true as is_new",
        "bundle_journal::what_is_cancelled_in_the_ledger_takes_its_place_and_no_effect"),
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_the_guard_finds(copy, mutant):
    assert_found(copy, mutant)
