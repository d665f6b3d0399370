"""A lock between processes, on a file.

What is done under one is decided by its user; locks between threads are `threading`'s.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FileLock", "Holder"]


class FileLock:
    """A lock between processes, that the kernel frees when its owner ends, however it ends.

    This is `flock` and not a package around it: an flock belongs to the open file, which a forked child
    shares. The child must be able to close its copy without unlocking; the packages unlock as they close, and
    would take the lock from the parent.

    Args:
        path: The file; it and its folder are made when missing, and it is never removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inherited = False
        """Whether the owner before this one ended without releasing."""
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object has the lock."""
        return self._descriptor is not None

    def acquire(self, note: str = "") -> bool:
        """Take the lock if it is free, without waiting.

        Args:
            note: What others may read about the owner.

        Returns:
            Whether this object has it now.

        Raises:
            OSError: The file cannot be made, or its file system has no locks.
        """
        import fcntl

        if self._descriptor is not None:
            return True
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.inherited = os.fstat(descriptor).st_size > 0
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n{note}\n".encode(), 0)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def holder(self) -> Holder:
        """Return what the owner wrote; it may just be writing."""
        lines = [*self.path.read_text("utf-8", "replace").splitlines(), "", ""]
        return Holder(int(lines[0]) if lines[0].isdigit() else None, lines[1])

    def release(self) -> None:
        """Give the lock up, even when a forked child still holds a copy of the file."""
        import fcntl

        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self.forget()

    def forget(self) -> None:
        """In a forked child: close the copy of the file; the parent keeps the lock."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


@dataclass(frozen=True)
class Holder:
    """Who has a lock.

    Attributes:
        pid: The owner's process id; None in the moment before it is written.
        note: What the owner gave to `acquire`.
    """

    pid: int | None
    note: str = ""

    def __str__(self) -> str:
        return f"process {self.pid}" if self.pid is not None else "another process"
