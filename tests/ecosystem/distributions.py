"""Makes what a package index would hold: this repository's wheels, and small third-party ones from text.

Third-party wheels are written directly, without a build backend, so that they can be broken in any way a test
wants.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["build_wheels", "find_wheel", "write_wheel"]

ROOT = Path(__file__).parents[2]


def build_wheels(target: Path) -> Path:
    """Build a wheel of every distribution of this repository into the folder `target`, and return it."""
    for project in sorted(ROOT.glob("jsorc-*/pyproject.toml")):
        subprocess.run(
            ["uv", "build", "--quiet", "--wheel", "--out-dir", str(target), str(project.parent)], check=True
        )
    return target


def find_wheel(folder: Path, distribution: str) -> Path:
    """The one wheel of a distribution in a folder."""
    (wheel,) = folder.glob(f"{distribution.replace('-', '_')}-*.whl")
    return wheel


def write_wheel(
    folder: Path,
    distribution: str,
    *,
    modules: Mapping[str, str],
    entry_point: str | None,
    requires: Iterable[str] = ("jsorc-core>=0.1.0,<1",),
    version: str = "1.0.0",
) -> Path:
    """Write the wheel of a distribution.

    Args:
        folder: Where the wheel goes.
        distribution: Its name, with hyphens.
        modules: Source text of each file, by its path inside site-packages.
        entry_point: What its entry in the group `jsorc.services` names; None for none.
        requires: Its requirements.
        version: Its version.
    """
    stem = f"{distribution.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    files = dict(modules)
    files[f"{info}/METADATA"] = "\n".join(metadata) + "\n"
    files[f"{info}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    if entry_point is not None:
        files[f"{info}/entry_points.txt"] = f"[jsorc.services]\n{distribution} = {entry_point}\n"
    record = "".join(f"{path},{_digest(text)},{len(text.encode())}\n" for path, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
