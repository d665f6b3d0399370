"""Every ```python block of the guide and the READMEs runs, so that what a reader copies works.

The blocks of a page run in order, in one namespace and one process, in an empty folder, with jsorc-core alone
unless the page says `<!-- installed: jsorc-redis -->`. A block is left out only with the comment
`<!-- skip: the reason -->` before it. Console blocks are for people.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import inherited

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("jsorc-*/README.md")])
BLOCK = re.compile(
    r"^(?P<skip><!-- skip: (?P<reason>[^\n]*?)-->\s*\n)?```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
INSTALLED = re.compile(r"^<!-- installed: (?P<distributions>.+?) -->$", re.MULTILINE)


def blocks_of(text: str) -> list[tuple[int, str]]:
    """First line number and code of every block that is to run."""
    found: list[tuple[int, str]] = []
    for match in BLOCK.finditer(text):
        if match["skip"]:
            assert match["reason"].strip(), "a block is skipped without a reason"
            continue
        found.append((text.count("\n", 0, match.start("code")) + 1, match["code"]))
    return found


def program_of(page: Path) -> str:
    """One program of all blocks of a page, each on the line where it stands in the page."""
    lines: list[str] = []
    for number, code in blocks_of(page.read_text(encoding="utf-8")):
        lines += [""] * (number - 1 - len(lines))
        lines += code.splitlines()
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if program_of(page).strip()], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_python_blocks_of_a_page_run(page: Path, tmp_path: Path, free_port: int) -> None:
    installed = INSTALLED.search(page.read_text(encoding="utf-8"))
    program = tmp_path / page.with_suffix(".py").name.lower()
    program.write_text(program_of(page), encoding="utf-8")
    folder = tmp_path / "empty"
    folder.mkdir()
    variables = {
        **inherited(),
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "JSORC_PLUGINS_ALLOW": installed["distributions"] if installed else "jsorc-core",
        "REDIS_PORT": str(free_port),
    }
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (
        f"{page.relative_to(ROOT)} (line numbers are those of the page)\n{done.stderr}"
    )


def test_a_block_is_skipped_only_with_a_reason() -> None:
    with pytest.raises(AssertionError, match="without a reason"):
        blocks_of("<!-- skip: -->\n```python\n1\n```\n")
    assert blocks_of("<!-- skip: needs a cluster -->\n```python\n1\n```\n") == []
    assert blocks_of("text\n```python\n1\n```\n") == [(3, "1\n")]
