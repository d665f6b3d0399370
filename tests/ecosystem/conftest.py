"""Wheels built once, and environments made of them; the questions are in the tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.ecosystem.distributions import build_wheels
from tests.ecosystem.environments import Environment


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of every distribution of this repository."""
    if shutil.which("uv") is None:
        pytest.skip("no uv: pip install uv, or use scripts/nox -s ecosystem")
    return build_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def environment(wheels: Path, tmp_path: Path) -> Environment:
    """A fresh environment with nothing in it."""
    return Environment.create(tmp_path / "environment")
