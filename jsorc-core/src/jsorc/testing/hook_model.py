"""Steps that two units may take in any order, and the dictionaries that say what each should see then.

`HookContract` draws the steps; what a single step must do is spelled out in its tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from jsorc.testing.hook_values import same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jsorc.unit_of_work import Hook

__all__ = ["STEPS", "Model"]

_GONE = object()
_UNITS = st.integers(0, 1)
_NAMES = st.sampled_from(["a", "aa", "ab", "b", "é", "\uff5e", "\U0001f600"])
_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
_NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)
_STEP = st.one_of(
    st.tuples(st.sampled_from(["save_obj", "save_glob", "get_or_create_glob"]), _UNITS, _NAMES, _VALUES),
    st.tuples(st.sampled_from(["destroy_obj", "destroy_glob"]), _UNITS, _NAMES),
    st.tuples(st.sampled_from(["commit", "rollback", "clear_cache"]), _UNITS),
    st.tuples(
        st.just("list_objs"),
        _UNITS,
        st.sampled_from(["", "a", "é"]),
        st.none() | _NAMES,
        st.none() | st.integers(0, 4),
    ),
)

STEPS = st.lists(_STEP, max_size=25)
"""Lists of (method, number of the unit, arguments…)."""


class Model:
    """Two units over one empty store and, beside them, dictionaries that are changed as the store should be.

    Args:
        make_hook: Makes a unit.
    """

    def __init__(self, make_hook: Callable[[], Hook]) -> None:
        self._hooks = [make_hook(), make_hook()]
        self._stored = _nothing()
        self._staged = [_nothing(), _nothing()]

    def run(self, steps: Iterable[tuple[Any, ...]]) -> None:
        """Take the steps, and compare what both units see after each.

        Args:
            steps: What `STEPS` draws.

        Raises:
            AssertionError: A unit answers otherwise than the dictionaries.
        """
        for method, unit, *arguments in steps:
            answer = getattr(self._hooks[unit], method)(*arguments)
            assert same(answer, getattr(self, f"_{method}")(unit, *arguments))
            for number, hook in enumerate(self._hooks):
                hook.clear_cache()
                objects, globs = self._view(number, "objects"), self._view(number, "globs")
                assert hook.list_objs() == list(objects)
                assert hook.list_glob() == list(globs)
                assert same(hook.get_objs(objects), objects)
                assert same({name: hook.get_glob(name) for name in globs}, globs)

    def _view(self, unit: int, pillar: str) -> dict[str, Any]:
        merged = {**self._stored[pillar], **self._staged[unit][pillar]}
        return {name: value for name, value in sorted(merged.items(), key=_name) if value is not _GONE}

    def _save_obj(self, unit: int, id: str, value: Any) -> None:
        self._staged[unit]["objects"][id] = value

    def _save_glob(self, unit: int, name: str, value: Any) -> None:
        self._staged[unit]["globs"][name] = value

    def _destroy_obj(self, unit: int, id: str) -> bool:
        return self._destroy(unit, "objects", id)

    def _destroy_glob(self, unit: int, name: str) -> bool:
        return self._destroy(unit, "globs", name)

    def _destroy(self, unit: int, pillar: str, name: str) -> bool:
        existed = name in self._view(unit, pillar)
        if existed:
            self._staged[unit][pillar][name] = _GONE
        return existed

    def _get_or_create_glob(self, unit: int, name: str, default: Any) -> Any:
        staged = self._staged[unit]["globs"]
        if name not in staged:
            return self._stored["globs"].setdefault(name, default)
        if staged[name] is _GONE:
            staged[name] = default
        return staged[name]

    def _list_objs(self, unit: int, prefix: str, after: str | None, limit: int | None) -> list[str]:
        ids = [id for id in self._view(unit, "objects") if id.startswith(prefix) and id > (after or "")]
        return ids[:limit]

    def _commit(self, unit: int) -> None:
        self._stored = {pillar: self._view(unit, pillar) for pillar in self._stored}
        self._staged[unit] = _nothing()

    def _rollback(self, unit: int) -> None:
        self._staged[unit] = _nothing()

    def _clear_cache(self, unit: int) -> None:
        """Nothing that was staged may change."""


def _nothing() -> dict[str, dict[str, Any]]:
    return {"objects": {}, "globs": {}}


def _name(item: tuple[str, Any]) -> str:
    return item[0]
