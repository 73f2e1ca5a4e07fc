"""Whole corpora through two processors of four workers each, compared with their expectation."""
import gzip
import json
import os
from pathlib import Path

from corpus import EXPECTATION_SQL, Corpus

REPOSITORY = Path(__file__).parents[2]
DIALOGUES = Path(os.environ.get("TESTS_CORPUS",
                                REPOSITORY.parent / "shared/data/dialogues.ndjson.gz"))
READ_ONLY = ("get_thread", "get_messages", "list_threads")


def submit_to_two_processors(stack, path: Path) -> dict:
    """Returns the counts at the end; nothing is left in the queue or of the sessions."""
    with stack.run(workers=4), stack.run(workers=4):
        done = stack.cli("submit", "--file", str(path), "--direct", "--wait=8m",
                         "--output", "json", timeout=500)
    assert done.returncode in (0, 1), done.stderr
    check = stack.cli("check", "--output", "json")
    assert check.returncode == 0, check.stdout + check.stderr
    stack.wait_no_sessions()
    return json.loads(done.stdout.splitlines()[-1])


def database(stack) -> str:
    return "".join(line + "\n" for line, in stack.sql(EXPECTATION_SQL))


def test_the_made_corpus_ends_as_its_model_says(stack):
    corpus = Corpus()
    path = stack.directory / "corpus.ndjson"
    path.write_text(corpus.ndjson())
    counts = submit_to_two_processors(stack, path)
    assert counts["submitted"] == len(corpus.codes)
    assert counts["done"] == corpus.codes.count(200)
    assert counts["failed"] == len(corpus.codes) - counts["done"]
    assert database(stack) == corpus.expectation
    assert_codes(stack, corpus)


def assert_codes(stack, corpus: Corpus) -> None:
    """Each operation ended with the code that the model says, where the ledger keeps it."""
    expected = {operation["id"]: code for operation, code in zip(corpus.operations, corpus.codes)
                if "id" in operation and operation["op"] not in READ_ONLY}
    kinds = {None: 200, "invalid": 400, "not_found": 404, "conflict": 409}
    rows = stack.sql("select id::text, error->>'kind' from heddle.status where id = any(%s::uuid[])",
                     list(expected))
    assert {operation: kinds[kind] for operation, kind in rows} == expected


# Defined only where the corpus is: a test that exists must run.
if DIALOGUES.exists():
    def test_real_dialogues_end_as_their_expectation_says(new_stack):
        counts = submit_to_two_processors(new_stack, DIALOGUES)
        lines = sum(1 for _ in gzip.open(DIALOGUES))
        assert (counts["submitted"], counts["done"]) == (lines, lines)
        expected = gzip.open(DIALOGUES.with_name("dialogues.expect.tsv.gz"), "rt").read()
        assert database(new_stack) == expected
