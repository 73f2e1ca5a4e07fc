"""What Heddle shall reach, as ratios within one run of the benchmark."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

# figure -> contestant -> a dictionary of values a run
Figures = dict[str, dict[str, list[dict[str, float]]]]
Judgement = tuple[str, str]  # what was measured; "met", "tie", "MISSED", "?"
ABSENT: Judgement = ("not measured", "?")
TIE = 0.15  # a difference that such machines make by themselves
QUEUES = ("pg-boss", "graphile-worker", "GroupMQ", "BullMQ", "Sidekiq")


@dataclass(frozen=True)
class Target:
    text: str
    wanted: str
    judge: Callable[[Figures], Judgement]


def verdict(value: float, wanted: float, is_least: bool) -> str:
    """Whether a value that shall be at least, or at most, so much is."""
    if value >= wanted if is_least else value <= wanted:
        return "met"
    return "tie" if abs(value / wanted - 1) < TIE else "MISSED"


def best(figures: Figures, figure: str, names: tuple[str, ...], value: str) -> tuple[str, list[float]] | None:
    """The contestant of these names with the best median: the highest rate, the lowest of the rest."""
    found = [(name, [run[value] for run in runs]) for name, runs in figures.get(figure, {}).items()
             if name.startswith(names) and all(value in run for run in runs)]
    choose = max if value == "rate" else min
    return choose(found, key=lambda pair: median(pair[1])) if found else None


def ratio(figure: str, rivals: str | tuple[str, ...], factor: float, value: str = "rate",
          of: str = "", extra: float = 0) -> Callable[[Figures], Judgement]:
    """Heddle's value to the best rival's (of figure `of`), plus `extra`: at least `factor` where it is
    a rate, at most where it is a time."""
    rivals = (rivals,) if isinstance(rivals, str) else rivals

    def judge(figures: Figures) -> Judgement:
        ours = best(figures, figure, ("heddle",), value)
        theirs = best(figures, of or figure, rivals, value)
        if not ours or not theirs:
            return ABSENT
        middle = (median(ours[1]) - extra) / median(theirs[1])
        each = [(a - extra) / b for a, b in zip(ours[1], theirs[1])]
        told = f"{middle:.2f} ({min(each):.2f}-{max(each):.2f}): {median(ours[1]):,.0f}" \
               f" to {median(theirs[1]):,.0f} of {theirs[0]}"
        return told, verdict(middle, factor, is_least=value == "rate")

    return judge


def limit(figure: str, value: str, most: float, unit: str) -> Callable[[Figures], Judgement]:
    def judge(figures: Figures) -> Judgement:
        ours = best(figures, figure, ("heddle",), value)
        if not ours:
            return ABSENT
        told = f"{median(ours[1]):.2f} ({min(ours[1]):.2f}-{max(ours[1]):.2f}) {unit}"
        return told, verdict(median(ours[1]), most, is_least=False)

    return judge


def beside(figures: Figures) -> Judgement:
    """The ledger tells what a bundle of the backlog took, from its start to its end."""
    ours = best(figures, "beside", ("heddle",), "p99")
    bundles = best(figures, "beside", ("heddle",), "bundle_p99")
    left = best(figures, "beside", ("heddle",), "left")
    if not ours or not bundles or not left:
        return ABSENT
    if min(left[1]) == 0:
        return "the backlog was gone before the end: a longer one is needed (--beside)", "?"
    value = median(ours[1]) / max(median(bundles[1]), 1)
    told = f"p99 {value:.2f} of a bundle's p99: {median(ours[1]):,.0f} to {median(bundles[1]):,.0f} µs"
    return told, verdict(value, 2, is_least=False)


def flat(figures: Figures) -> Judgement:
    costs = {}
    for figure, contestants in figures.items():
        for name, runs in contestants.items():
            if figure.startswith("scale ") and name.startswith("heddle"):
                costs.setdefault(int(figure.split()[1]), []).extend(
                    run["processor"] + run["redis"] + max(run["postgres"], 0) for run in runs)
    if len(costs) < 2:
        return ABSENT
    medians = {users: median(values) for users, values in sorted(costs.items())}
    spread = max(medians.values()) / min(medians.values())
    told = ", ".join(f"{users:,}: {cost:.1f}" for users, cost in medians.items())
    return f"{spread:.2f}; CPU µs an operation at {told} users", verdict(spread, 1.2, is_least=False)


TARGETS = (
    Target("send_message to best pgbench", "≥ 4", ratio("message", "pgbench transaction", 4)),
    Target("send_message to best pgbench of one statement", "≥ 4", ratio("message", "pgbench statement", 4)),
    Target("send_message to best other queue", "≥ 8", ratio("message", QUEUES, 8)),
    Target("send_message, one a user, to best pgbench", "≥ 2",
           ratio("message_wide", "pgbench transaction", 2, of="message")),
    Target("send_message, durable, submission too, to best pgbench", "≥ 1.5",
           ratio("message_durable", "pgbench transaction", 1.5, of="message")),
    Target("no-op in bursts to GroupMQ", "≥ 8", ratio("noop_bursts", "GroupMQ", 8)),
    Target("no-op in bursts to graphile-worker", "≥ 5", ratio("noop_bursts", "graphile-worker", 5)),
    Target("no-op round-robin to GroupMQ", "≥ 8", ratio("noop_rounds", "GroupMQ", 8)),
    Target("no-op round-robin to graphile-worker", "≥ 5", ratio("noop_rounds", "graphile-worker", 5)),
    Target("no-op, one a user, to GroupMQ", "≥ 4", ratio("noop_wide", "GroupMQ", 4)),
    Target("no-op, one a user, to bare RPOP", "≥ 1", ratio("noop_wide", "bare Redis", 1)),
    Target("bulk submission to Sidekiq", "≥ 1", ratio("bulk", "Sidekiq", 1)),
    Target("bulk submission to GroupMQ", "≥ 4", ratio("bulk", "GroupMQ", 4)),
    Target("submission one at a time to bare LPUSH", "≥ 0.8", ratio("one", "bare Redis", 0.8)),
    Target("submission to start, p50 to bare BRPOP", "≤ 2.5", ratio("start", "bare Redis", 2.5, "p50")),
    Target("submission to start, p99 to bare BRPOP", "≤ 2.5", ratio("start", "bare Redis", 2.5, "p99")),
    Target("due to committed, p99 less 1 ms, to pgbench", "≤ 2",
           ratio("committed", "pgbench", 2, "p99", extra=1000)),
    Target("resident memory of a processor, send_message", "≤ 24 MiB", limit("message", "rss_mib", 24, "MiB")),
    Target("resident memory of a processor, no-op", "≤ 24 MiB", limit("noop_bursts", "rss_mib", 24, "MiB")),
    Target("idle processor", "≤ 0.5 %", limit("idle", "cpu_percent", 0.5, "% of a core")),
    Target("idle processor, its busiest thread", "≤ 1/s", limit("idle", "busiest", 1.05, "wakes a second")),
    Target("start beside a backlog of one user", "≤ 2 bundles", beside),
    Target("cost from few to many users", "≤ 1.2", flat),
)
