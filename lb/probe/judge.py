"""Up or down: a verdict changes after so many equal results in a row."""

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Judge:
    """One address's health. Times are the caller's clock, in seconds."""

    rise: int
    fall: int
    up: bool = True
    since: float = 0.0
    reason: str = "not probed yet"
    streak: int = field(default=0, init=False)  # results in a row that speak against the verdict

    def tell(self, now: float, *, ok: bool, reason: str) -> bool:
        """Take a result; true if the verdict changed."""
        if ok == self.up:
            self.streak = 0
            if ok:
                self.reason = reason
            return False
        self.streak += 1
        if self.streak < (self.rise if ok else self.fall):
            return False
        self.up, self.since, self.reason, self.streak = ok, now, reason, 0
        return True
