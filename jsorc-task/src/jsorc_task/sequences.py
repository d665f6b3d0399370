"""Sequences: named steps, each an HTTP request or a task, that use what earlier steps returned.

The schema, the references between steps and the task that runs them live here; which requests are let out is
decided in `guarded_http`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from celery import Task, shared_task
from msgspec import Meta, Struct

from jsorc.redaction import get_logger, mask_text
from jsorc_task.errors import SequenceError, StepFailed

__all__ = ["HttpRequest", "Sequence", "Step", "TaskCall", "read_sequence", "run_sequence"]

log = get_logger("jsorc.task.sequence")

_REFERENCE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)((?:\.[^\s{}.]+)*)\s*\}\}")
_OPENING = re.compile(r"\{\{")
_INPUT = "input"

StepName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]


class HttpRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request.

    Attributes:
        url: The URL; it must begin as one of `TASK_CONFIG.sequence.allowed_urls` does.
        method: The method.
        headers: Headers to send.
        params: The query, in place of one in the URL.
        body: What is sent as JSON.
    """

    url: Annotated[str, Meta(min_length=1, max_length=8192)]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] = "GET"
    headers: dict[str, str] = {}
    params: dict[str, Any] = {}
    body: Any = None


class TaskCall(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task, which runs in the process of the sequence: waiting for another could wait for ever.

    Attributes:
        name: Its name.
        args: Its arguments.
        kwargs: Its named arguments.
    """

    name: Annotated[str, Meta(min_length=1)]
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step; exactly one of `http` and `task` says what it does.

    Attributes:
        name: The name under which later steps refer to it, as in `{{fetch.body.items.0}}`.
        http: A request; what it returns is `status`, `headers` and `body`.
        task: A task; what it returns is `result`.
        retries: How often it is tried again after a failure.
        retry_delay: Seconds before the first of these; each further one takes twice as long.
        on_error: Whether the sequence ends when the step has failed; if not, what it returns is `error`.
    """

    name: StepName
    http: HttpRequest | None = None
    task: TaskCall | None = None
    retries: Annotated[int, Meta(ge=0, le=10)] = 0
    retry_delay: Annotated[float, Meta(ge=0, le=300)] = 1.0
    on_error: Literal["stop", "continue"] = "stop"


class Sequence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Steps that run one after the other.

    Attributes:
        steps: The steps.
    """

    steps: Annotated[list[Step], Meta(min_length=1, max_length=100)]


def read_sequence(definition: Any) -> Sequence:
    """Reads a sequence and checks all that can be known before it runs.

    Args:
        definition: A `Sequence`, or JSON-like data in its shape.

    Raises:
        SequenceError: An unknown key, a wrong type, a name that stands twice, or a reference to a step that
            does not come earlier.
    """
    try:
        plain = msgspec.to_builtins(definition)
        sequence = msgspec.convert(plain, Sequence)
        json.dumps(plain, allow_nan=False)
    except (msgspec.ValidationError, TypeError, ValueError, RecursionError) as error:
        raise SequenceError(f"This is no sequence: {error}") from error
    earlier = {_INPUT}
    for step in sequence.steps:
        if step.name in earlier:
            raise SequenceError(
                f"The name {step.name!r} stands twice, or is {_INPUT!r}, which is what was given."
            )
        if (step.http is None) == (step.task is None):
            raise SequenceError(f"Step {step.name!r} needs exactly one of http and task.")
        for name in _references(msgspec.to_builtins(step)):
            if name not in earlier:
                raise SequenceError(
                    f"Step {step.name!r} refers to {name!r}, which does not come earlier; there are: "
                    f"{', '.join(sorted(earlier))}."
                )
        if step.http is not None:
            from jsorc_task.guarded_http import check_headers

            check_headers(step.http.headers)
        earlier.add(step.name)
    return sequence


class SequenceTask(Task):  # type: ignore[misc]  # celery has no types
    """The task of sequences, which can check its arguments before it is sent."""

    def check_arguments(self, definition: Any = None, input: Any = None) -> None:
        """Checks what a sequence would be sent with.

        Raises:
            SequenceError: It is no sequence.
        """
        read_sequence(definition)


@shared_task(name="jsorc_task.sequence", bind=True, base=SequenceTask)  # type: ignore[untyped-decorator]
def run_sequence(self: Any, definition: Any, input: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Runs a sequence.

    Args:
        self: The task.
        definition: The sequence, as JSON-like data.
        input: What steps refer to as `{{input.…}}`.

    Returns:
        What each step returned, by its name.

    Raises:
        SequenceError: It is no sequence, or a URL is refused.
        StepFailed: A step failed that stops the sequence.
    """
    sequence = read_sequence(definition)
    read: Callable[[], Mapping[str, Any]] | None = getattr(self.app, "read_config", None)
    config = (read().get("sequence") if read is not None else None) or {}
    scope: dict[str, Any] = {_INPUT: dict(input or {})}
    for step in sequence.steps:
        try:
            scope[step.name] = _with_retries(step, lambda step=step: _perform(step, scope, self.app, config))  # type: ignore[misc]
        except SequenceError:
            raise  # what is written wrong, or refused, does not get better
        except Exception as error:
            reason = mask_text(f"{type(error).__name__}: {error}")
            if step.on_error == "stop":
                raise StepFailed(f"step {step.name!r} failed: {reason}") from error
            log.warning("step %r failed, and the sequence goes on: %s", step.name, reason)
            scope[step.name] = {"error": reason}
    del scope[_INPUT]
    return scope


def _with_retries(step: Step, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    pause = threading.Event()
    for attempt in range(step.retries):
        try:
            return work()
        except SequenceError:
            raise
        except Exception as error:
            log.info("step %r failed, try %d of %d: %s", step.name, attempt + 1, step.retries + 1, error)
        pause.wait(min(step.retry_delay * 2**attempt, 300.0))
    return work()


def _perform(step: Step, scope: Mapping[str, Any], app: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    if step.http is not None:
        from jsorc_task.guarded_http import send

        return send(
            method=step.http.method,
            url=_filled_url(step.http.url, scope),
            headers={key: str(_filled(value, scope)) for key, value in step.http.headers.items()},
            params={key: _filled(value, scope) for key, value in step.http.params.items()},
            body=_filled(step.http.body, scope),
            config=config,
        )
    assert step.task is not None
    from jsorc_task.tasks import find

    task = find(app, step.task.name)
    done = task.apply(args=_filled(step.task.args, scope), kwargs=_filled(step.task.kwargs, scope))
    return {"result": json.loads(json.dumps(done.get(disable_sync_subtasks=False)))}


def _references(value: Any) -> list[str]:
    """The names that a value refers to."""
    if isinstance(value, str):
        if len(_OPENING.findall(value)) != len(_REFERENCE.findall(value)):
            raise SequenceError(f"{value!r} has a {{{{ that begins no reference such as {{{{fetch.body}}}}.")
        return [match[0] for match in _REFERENCE.findall(value)]
    if isinstance(value, Mapping):
        return [name for pair in value.items() for part in pair for name in _references(part)]
    if isinstance(value, list):
        return [name for item in value for name in _references(item)]
    return []


def _filled(value: Any, scope: Mapping[str, Any]) -> Any:
    """A value with its references replaced; a text that is nothing but one becomes what it refers to."""
    if isinstance(value, str):
        whole = _REFERENCE.fullmatch(value.strip())
        if whole is not None:
            return _looked_up(whole, scope)
        return _REFERENCE.sub(lambda match: _as_text(_looked_up(match, scope)), value)
    if isinstance(value, Mapping):
        return {_filled(key, scope): _filled(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, scope) for item in value]
    return value


def _filled_url(url: str, scope: Mapping[str, Any]) -> str:
    """A URL with its references replaced; one that is not the whole URL cannot bring a slash along."""
    whole = _REFERENCE.fullmatch(url.strip())
    if whole is not None:
        return str(_looked_up(whole, scope))
    return _REFERENCE.sub(lambda match: quote(_as_text(_looked_up(match, scope)), safe=""), url)


def _looked_up(match: re.Match[str], scope: Mapping[str, Any]) -> Any:
    name, path = match.groups()
    value = scope[name]
    for part in path.split(".")[1:]:
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            raise LookupError(f"there is no {name}{path}: {part!r} is missing") from None
    return value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
