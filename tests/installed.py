"""Distributions that are installed for one test: real `*.dist-info` folders and modules on `sys.path`.

Nothing here knows pytest; the fixture that hands a site out is in tests/core/conftest.py.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import dedent

__all__ = ["Site"]


class Site:
    """A folder of installed distributions.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._packages: set[str] = set()

    def install(
        self,
        name: str,
        plugin: str = "",
        *,
        version: str = "1.0",
        requires: Iterable[str] = (),
        entry: str | None = None,
        modules: Mapping[str, str] | None = None,
        entry_points: str | None = None,
    ) -> str:
        """Install a distribution.

        Args:
            name: Its name.
            plugin: The source of its plugin module.
            version: Its version.
            requires: What it requires, a line each.
            entry: What its entry point names; the plugin module by default.
            modules: Further modules of its package: relative name to source.
            entry_points: The whole file, in place of the one entry point.

        Returns:
            The name of its package.
        """
        package = name.replace("-", "_")
        self._packages.add(package)
        sources = {"__init__": "", "plugin": plugin, **(modules or {})}
        for module, source in sources.items():
            path = self.folder / package / f"{module}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(dedent(source))
        info = self.info(name)
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {line}" for line in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        written = entry_points or f"[jsorc.services]\n{package} = {entry or f'{package}.plugin'}\n"
        (info / "entry_points.txt").write_text(written)
        importlib.invalidate_caches()
        return package

    def uninstall(self, name: str) -> None:
        """Remove a distribution; what is imported of it stays imported."""
        shutil.rmtree(self.info(name))
        shutil.rmtree(self.folder / name.replace("-", "_"))
        importlib.invalidate_caches()

    def rewrite(self, name: str, module: str, source: str) -> None:
        """Change the source of a module, and forget that it was imported."""
        package = name.replace("-", "_")
        path = self.folder / package / f"{module}.py"
        path.write_text(dedent(source))
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
        sys.modules.pop(f"{package}.{module}", None)
        importlib.invalidate_caches()

    def info(self, name: str) -> Path:
        """The distribution's folder of metadata."""
        return self.folder / f"{name.replace('-', '_')}-1.0.dist-info"

    def imported(self, name: str) -> list[str]:
        """The modules of a distribution that were imported."""
        package = name.replace("-", "_")
        return sorted(module for module in sys.modules if module.partition(".")[0] == package)

    def forget(self) -> None:
        """Forget every module that was imported from here."""
        for package in self._packages:
            for module in self.imported(package):
                del sys.modules[module]
