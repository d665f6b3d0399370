"""Notices that another store wins `hook` than at the last start: what the old one holds is out of sight.

The last winner of each namespace is a small file in the user's state folder; losing it loses one warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsorc.redaction import get_logger
from jsorc.registration import Registration

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["warn_of_another_store"]

log = get_logger("jsorc.last_winner")


def warn_of_another_store(state_dir: Path, namespace: str, winner: Registration) -> None:
    """Warns where the winner of `hook` is another than at the last start, and remembers the present one.

    Args:
        state_dir: The user's state folder.
        namespace: `JSORC_CONFIG.namespace`.
        winner: The present winner.
    """
    import json

    note = state_dir / "winners" / f"{namespace}.json"
    present = {"distribution": winner.distribution, "target": winner.target}
    try:
        last = json.loads(note.read_text())
    except FileNotFoundError:
        last = None
    except (OSError, ValueError) as error:
        log.info("%s cannot be read, so nobody knows which hook won last: %s", note, error)
        last = None
    if last == present:
        return
    if isinstance(last, dict) and last.get("distribution") != winner.distribution:
        log.warning(
            "the hook is now %(hook)s of %(new)s; at the last start it was that of %(old)s, and what that "
            "holds is out of sight. Copy it with: jsorc copy --from %(old)s --to %(new)s; or pin the old "
            "one: JSORC_CONFIG__USE__HOOK=%(old)s",
            {
                "hook": winner.target.partition(":")[2],
                "new": winner.distribution,
                "old": last.get("distribution"),
            },
        )
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        part = note.with_suffix(".part")
        part.write_text(json.dumps(present))
        part.replace(note)
    except OSError as error:
        log.info("%s cannot be written, so a change of hook will not be noticed: %s", note, error)
