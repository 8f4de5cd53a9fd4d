"""The desired state on disk: one SQLite file, durable before anybody is told 'done'."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from telco.errors import StoreError

SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
    kind TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, name)
);
CREATE TABLE IF NOT EXISTS revision (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
INSERT OR IGNORE INTO revision VALUES (1, 0);
"""


class Store:
    """All resources and a revision that every write raises. Raises StoreError, in one sentence."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "policy.db"
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._database = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(SCHEMA)
            if (verdict := self._database.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(verdict)
        except OSError as error:
            raise StoreError(f"state directory {directory} cannot be used: {error.strerror}") from error
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.path} cannot be used ({error}): restore it from a backup, or move it away to start empty"
            ) from error

    @property
    def revision(self) -> int:
        """Raised by every write."""
        return int(self._database.execute("SELECT number FROM revision").fetchone()[0])

    def load(self) -> list[dict[str, Any]]:
        """Every resource."""
        rows = self._database.execute("SELECT body FROM resources ORDER BY kind, name")
        return [json.loads(body) for (body,) in rows]

    def replace(self, rows: Iterable[tuple[str, str, str]]) -> int:
        """Make these the whole policy (kind, name, JSON of each), or nothing if it fails; gives the new revision."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("DELETE FROM resources")
            self._database.executemany("INSERT INTO resources VALUES (?, ?, ?)", rows)
            self._database.execute("UPDATE revision SET number = number + 1")
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise StoreError(f"{self.path} could not be written ({error}): nothing was changed") from error
        return self.revision

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
