"""The errors of this distribution: each is one of JsOrc's and the one that a Celery user expects.

What they say is written where it is known.
"""

from __future__ import annotations

from kombu.exceptions import EncodeError, OperationalError

from jsorc.errors import JsOrcError, ServiceUnavailable

__all__ = ["BrokerUnavailable", "ScheduleError", "SequenceError", "StepFailed", "TaskArgumentError"]


class BrokerUnavailable(ServiceUnavailable, OperationalError):
    """A message could not be handed to the broker within its deadline."""


class TaskArgumentError(JsOrcError, EncodeError, TypeError):
    """The arguments of a task are not JSON."""


class ScheduleError(JsOrcError, ValueError):
    """A schedule cannot be kept: its name is taken, its time is past, or it cannot be read."""


class SequenceError(JsOrcError, ValueError):
    """A sequence cannot be run as it is written: an unknown key, a wrong type, or a URL that is refused."""


class StepFailed(JsOrcError):
    """A step of a sequence failed, with all its retries."""
