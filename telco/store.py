"""The desired state on disk: one SQLite file, durable before anybody is told 'done'."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from telco.errors import StoreError

ADVICE = {
    sqlite3.SQLITE_FULL: "make room there",
    sqlite3.SQLITE_CANTOPEN: "let root write there",
    sqlite3.SQLITE_READONLY: "let root write there",
    sqlite3.SQLITE_IOERR: "see what the kernel says of that disk",
}
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
            advice = ADVICE.get(
                getattr(error, "sqlite_errorcode", 0) & 0xFF,
                "restore it from a backup, or move it away to start empty",
            )
            raise StoreError(f"{self.path} cannot be used ({error}): {advice}") from error

    @property
    def revision(self) -> int:
        """Raised by every write."""
        with self._said("read"):
            return int(self._database.execute("SELECT number FROM revision").fetchone()[0])

    def load(self) -> list[dict[str, Any]]:
        """Every resource."""
        try:
            with self._said("read"):
                rows = self._database.execute("SELECT body FROM resources ORDER BY kind, name").fetchall()
            return [json.loads(body) for (body,) in rows]
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"{self.path} holds a resource that is no JSON: restore it from a backup"
            ) from error

    def replace(self, rows: Iterable[tuple[str, str, str]], revision: int | None = None) -> int:
        """Make these the whole policy (kind, name, JSON of each), or nothing if it fails; gives the new revision.

        With ``revision`` it is put back as it was then: what it was changed to did not come true.
        """
        try:
            with self._said("written"):
                self._database.execute("BEGIN IMMEDIATE")
                self._database.execute("DELETE FROM resources")
                self._database.executemany("INSERT INTO resources VALUES (?, ?, ?)", rows)
                self._database.execute("UPDATE revision SET number = coalesce(?, number + 1)", (revision,))
                self._database.execute("COMMIT")
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
        return self.revision

    @contextmanager
    def _said(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} could not be {what} ({error}): nothing was changed") from error

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
