"""What was submitted, and what the submitter was told of it."""
from __future__ import annotations

import json
from dataclasses import dataclass, field

NEVER = float("inf")
ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"


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
    told: str = UNKNOWN
    sent_at: float = 0.0        # the first time
    told_at: float = NEVER      # when it was acknowledged
    tries: int = 0
    is_malformed: bool = False
    text: str = ""              # what a refusal said

    @property
    def payload(self) -> str:
        return json.dumps({"n": self.n, **self.work})

    @property
    def options(self) -> list:
        """Of FCALL."""
        delay = [] if self.delay_ms is None else ["delay_ms", self.delay_ms]
        return ["id", self.id, "priority", self.priority, *delay]

    @property
    def has_effect(self) -> bool:
        """Whether it takes effect where it is accepted."""
        return not self.work.get("refuse") and not self.is_malformed

    def note(self, told: str, now: float, text: str = "") -> None:
        """A later answer says more, except that nothing takes an acknowledgement back, and that
        a refusal says nothing of a try before it whose fate is unknown."""
        self.tries += 1
        self.text = text or self.text
        if told == ACKNOWLEDGED and self.told != ACKNOWLEDGED:
            self.told, self.told_at = told, now
        elif self.tries == 1:
            self.told = told

    def __str__(self) -> str:
        kind = "durable" if self.is_durable else "direct"
        return (f"{kind} {self.id} (lane {self.lane}, {self.priority}, n {self.n}, {self.told},"
                f" tries {self.tries})")
