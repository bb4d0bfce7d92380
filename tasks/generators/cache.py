"""Answers of models by what was asked: nothing is asked, or paid for, twice.

One SQLite file, outside DVC's outputs, in which each answer is written whole or not at all; several processes may use
it at once. A run that was killed, or stopped by its budget, goes on where it was.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.core.errors import StorageError
from tasks.generators.asks import Answer

PATIENCE = 120.0
"""Seconds that one process waits while others write."""
TABLE = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID"


class AnswerCache:
    """Answers by the key of their ask."""

    def __init__(self, folder: Path) -> None:
        """Open the cache in `folder`, which is made if need be.

        Raises:
            StorageError: the file is not a cache, or the disk cannot be written.
        """
        self._path = folder / "answers.sqlite"
        self._lock = threading.Lock()
        with self._named():
            folder.mkdir(parents=True, exist_ok=True)
            # The event loop's thread asks it, but another one may close it.
            self._database = sqlite3.connect(
                self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute(TABLE)

    def get(self, key: str) -> Answer | None:
        """The answer to an ask; None if it was never asked.

        Raises:
            StorageError: the file is damaged or cannot be read.
        """
        with self._lock, self._named():
            row = self._database.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
            return None if row is None else Answer.from_json(row[0])

    def put(self, key: str, answer: Answer) -> Answer:
        """Keep an answer; the one that counts is given back: that of another process, if it was there first.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        with self._lock, self._named():
            new = self._database.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (key, answer.to_json()))
            if new.rowcount:
                return answer
            row = self._database.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
            return Answer.from_json(row[0])

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            raise StorageError(
                f"the cache of answers {self._path} cannot be used ({error}). If the disk has room and the file is "
                "yours to write, the file is damaged: delete it, and what was asked is asked again"
            ) from error
