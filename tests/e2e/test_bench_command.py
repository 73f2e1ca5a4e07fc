"""`heddle bench` counts what it measures, says so where the count is wrong, and leaves nothing. No times."""
import json

import pytest

from corpus import Corpus

TINY = ("--operations", "500", "--users", "20", "--output", "json")


def bench(stack, *arguments, expect=0):
    done = stack.cli("bench", *arguments)
    assert done.returncode == expect, done.stderr
    return done


def measure(stack, *arguments, expect=0) -> dict:
    return json.loads(bench(stack, *arguments, *TINY, expect=expect).stdout)


def assert_nothing_is_left(stack):
    partitions = int(stack.redis.get("heddle:partitions"))
    assert not stack.redis.exists(*(f"heddle:{{{p}}}:ops" for p in range(partitions)))
    assert stack.sql("select count(*) from heddle.operations") == [(0,)]
    assert stack.sql("select count(*) from heddle.lane_tails") == [(0,)]
    assert stack.sql("select count(*) from chat.threads") == [(0,)]


@pytest.mark.parametrize("arguments", [
    ("noop",), ("noop", "--order", "round-robin", "--processes", "2"), ("send_message",),
    ("send_message", "--durable"), ("send_message", "--overlap"), ("submit", "--window", "1"),
], ids=" ".join)
def test_every_scenario_counts_right_and_leaves_nothing(stack, arguments):
    told = measure(stack, *arguments)
    assert told["verified"] is True and told["operations"] == 500
    assert told["run"]["operations_per_second"] > 0 < told["submit"]["operations_per_second"]
    assert told["run"]["cpu_us_per_operation"]["processor"] > 0
    assert told["processor_rss_max_mib"] > 0
    assert_nothing_is_left(stack)


@pytest.mark.parametrize("arguments", [
    (), ("--op", "send_message"), ("--op", "send_message", "--durable"), ("--beside", "3000"),
    ("--op", "send_message", "--beside", "500"),
], ids=" ".join)
def test_latency_tells_when_each_operation_started_and_ended(stack, arguments):
    told = json.loads(bench(stack, "latency", "--rate", "50", "--seconds", "1", *arguments,
                            "--output", "json").stdout)
    assert told["verified"] is True and told["operations"] == 50
    assert 0 < told["to_start_us"]["p50"] <= told["to_start_us"]["p99"] <= told["to_start_us"]["max"]
    assert 0 < told["sent_to_done_us"]["p50"] <= told["due_to_done_us"]["max"]
    assert told["sent_to_accepted_us"]["p50"] <= told["sent_to_done_us"]["p50"]
    if "--beside" in arguments:
        assert f"{told['beside'] + 50}" in told["verdict"]
    if {"--beside", "--op"} < set(arguments):
        assert told["bundle_beside_us"]["max"] > 0
    assert_nothing_is_left(stack)


def test_an_idle_processor_tells_who_wakes(stack):
    told = json.loads(bench(stack, "idle", "--seconds", "1", "--output", "json").stdout)
    assert told["wakes_per_second"] >= told["busiest_thread_wakes_per_second"] > 0
    assert told["busiest_thread"] and told["processor_rss_max_mib"] > 0


@pytest.mark.parametrize("durability", [(), ("--durable",)], ids=["direct", "durable"])
def test_a_corpus_is_worked_off_by_users_of_its_own(stack, tmp_path, durability):
    corpus = Corpus(count=600)
    path = tmp_path / "corpus.ndjson"
    path.write_text(corpus.ndjson())
    told = json.loads(bench(stack, "corpus", "--file", str(path), *durability,
                            "--output", "json").stdout)
    assert told["verified"] is True and told["operations"] == len(corpus.operations)
    assert_nothing_is_left(stack)


def test_a_corpus_with_a_bad_line_is_refused(stack, tmp_path):
    path = tmp_path / "bad.ndjson"
    path.write_text('{"user":"u","op":"list_threads"}\n{"user":"u"}\n')
    assert "line 2: " in bench(stack, "corpus", "--file", str(path), expect=2).stderr
    assert_nothing_is_left(stack)


def test_people_read_the_same(stack):
    text = bench(stack, "send_message", *TINY[:4]).stdout
    assert "verified     right: 500 messages of 500, 0 out of order" in text
    assert "synchronous_commit=on" in text


def test_messages_that_change_on_their_way_are_noticed(new_stack):
    new_stack.sql("""
        create function chat.spoil() returns trigger language plpgsql as $$
        begin
            new.content := '0000000099' || substr(new.content, 11);
            return new;
        end $$;
        create trigger spoil before insert on chat.messages for each row
            when (new.content like '0000000007%%') execute function chat.spoil()""")
    told = measure(new_stack, "send_message", expect=1)
    assert told["verified"] is False and "20 users with a gap" in told["verdict"]


@pytest.mark.parametrize("number", [0, 3])
def test_a_noop_that_comes_at_the_wrong_time_is_noticed(new_stack, number):
    new_stack.client.submit("bench-0000001", "bench_noop", payload=json.dumps({"n": f"{number:010} 01 "}))
    told = measure(new_stack, "noop", "--force", expect=1)
    assert told["verified"] is False
    assert "501 runs of 500 operations" in told["verdict"]


def test_other_work_is_left_alone(new_stack):
    new_stack.client.submit("alice", "list_threads")
    done = bench(new_stack, "noop", *TINY, expect=6)
    assert "other work is there: 1 operations in Redis" in done.stderr and "--force" in done.stderr
    bench(new_stack, "noop", "--force", *TINY)


@pytest.mark.parametrize("arguments", [
    (), ("dance",), ("noop", "--users", "0"), ("noop", "--order", "bursts=0"), ("noop", "--order", "any"),
    ("corpus",), ("noop", "--file", "x"), ("noop", "--beside", "5"), ("latency", "--op", "any"),
    ("latency", "--rate", "100000", "--seconds", "3600")])
def test_what_makes_no_sense_is_refused(stack, arguments):
    assert "allowed" in bench(stack, *arguments, expect=2).stderr
