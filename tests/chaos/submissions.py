"""What was submitted, and what the submitter was told of it."""
from __future__ import annotations

import json
from dataclasses import dataclass, field

NEVER = float("inf")
ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"
MERGED = "merged"  # answered with the id of another one, which has its unique key


@dataclass
class Submission:
    """One operation, however often it was sent. Times are of the wall clock."""
    id: str
    lane: str
    n: int
    is_durable: bool
    work: dict = field(default_factory=dict)
    op: str = "chaos_work"
    priority: str = "normal"
    delay_ms: int | None = None
    thread: str = ""
    batch: str | None = None
    unique_key: str | None = None
    replaces: bool = False
    told: str = UNKNOWN
    sent_at: float = 0.0        # the first time
    told_at: float = NEVER      # when it was acknowledged
    tries: int = 0
    into: str = ""              # whose id was answered last
    is_stray: bool = False      # some try's fate was unknown: it may come late
    is_malformed: bool = False
    text: str = ""              # what a refusal said

    @property
    def payload(self) -> str:
        return json.dumps({"n": self.n, **self.work})

    @property
    def options(self) -> list:
        """Of FCALL."""
        asked = {"delay_ms": self.delay_ms, "batch": self.batch, "unique_key": self.unique_key,
                 "replace": int(self.replaces) or None}
        return ["id", self.id, "priority", self.priority,
                *(part for name, value in asked.items() if value is not None for part in (name, value))]

    @property
    def has_effect(self) -> bool:
        """Whether it takes effect where it is accepted."""
        return not self.work.get("refuse") and not self.is_malformed

    def note(self, told: str, now: float, text: str = "", into: str = "") -> None:
        """A later answer says more, except that nothing takes an acknowledgement back, and that
        a refusal, or another's id, says nothing of a try before it whose fate is unknown. `into` is
        the id that was answered."""
        self.tries += 1
        self.text = text or self.text
        self.is_stray |= told == UNKNOWN
        if told == ACKNOWLEDGED and into != self.id:
            if self.told != ACKNOWLEDGED:
                self.told, self.told_at, self.into = UNKNOWN if self.is_stray else MERGED, now, into
        elif told == ACKNOWLEDGED and self.told != ACKNOWLEDGED:
            self.told, self.told_at, self.into = told, now, into
        elif self.tries == 1:
            self.told = told

    def __str__(self) -> str:
        kind = "durable" if self.is_durable else "direct"
        key = f" key {self.unique_key}," if self.unique_key else ""
        return (f"{kind} {self.id} (lane {self.lane}, {self.priority}, n {self.n},{key} {self.told},"
                f" tries {self.tries})")
