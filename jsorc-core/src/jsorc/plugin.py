"""What core itself brings, said in the words that every plugin uses.

It is not an entry point, so no block list reaches it.
"""

from __future__ import annotations

from jsorc.hookspecs import Register, hookimpl

__all__ = ["jsorc_register"]


@hookimpl
def jsorc_register(register: Register) -> None:
    """Brings the hook that needs nothing: objects in this process's memory."""
    register.repository("hook", "jsorc.unit_of_work:MemoryHook", priority=0)
