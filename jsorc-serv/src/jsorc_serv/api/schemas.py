"""The forms of what the API takes and gives; the OpenAPI document is made of them."""

from __future__ import annotations

from typing import Annotated, Any

from ninja import Field, Schema

__all__ = [
    "Audited",
    "Call",
    "CallResult",
    "Candidates",
    "Changed",
    "ConfigOut",
    "Info",
    "Manifest",
    "Me",
    "Plugin",
    "Provisioned",
    "Regenerated",
    "Service",
    "ServiceManifest",
    "Setting",
    "Settings",
    "StateChange",
]

JsonObject = dict[str, Any]


class Service(Schema):
    """A service and its state; configs and details are empty for anybody who has not logged in."""

    name: str
    state: Annotated[str, Field(description="NOT_STARTED, STARTED, RUNNING or FAILED")]
    enabled: bool | None = None
    automated: bool | None = None
    since_seconds: Annotated[float | None, Field(description="how long it has been in this state")] = None
    error: Annotated[str | None, Field(description="the last failure")] = None
    attempts: Annotated[int, Field(description="how often it was started")] = 0
    failures: Annotated[int, Field(description="starts that failed in a row")] = 0
    next_attempt_seconds: Annotated[float | None, Field(description="when a failed one is tried again")] = (
        None
    )
    probe_seconds: Annotated[list[float], Field(description="how long the last probes took, latest last")] = (
        Field(default_factory=list)
    )
    config: JsonObject = Field(default_factory=dict)
    details: JsonObject = Field(default_factory=dict)
    winner: Annotated[str | None, Field(description="the class behind the name")] = None
    distribution: str | None = None
    version: str | None = None
    problem: Annotated[str | None, Field(description="why the name has no winner")] = None


class Plugin(Schema):
    """A plugin that was discovered."""

    name: str
    distribution: str
    version: str | None = None
    target: str
    state: Annotated[str, Field(description="discovered, loaded, failed or blocked")]
    error: str | None = None


class Candidate(Schema):
    """One candidate of a name, and what became of it."""

    pillar: str
    distribution: str
    version: str | None = None
    priority: int | None = None
    target: str
    status: Annotated[str, Field(description="selected, pinned, outranked, tied, blocked or failed: …")]


class Candidates(Schema):
    """The candidates of a name, in the order of rank."""

    pillar: str
    name: str
    candidates: list[Candidate]
    problem: str | None = None


class StateChange(Schema):
    """A service entered a state."""

    at: Annotated[float, Field(description="seconds since 1970")]
    service: str
    state: str
    error: str | None = None


class Info(Schema):
    """Everything at once."""

    schema_version: Annotated[int, Field(alias="schema", description="the version of this form")]
    started: bool
    namespace: str
    ready: bool
    waiting: list[str]
    problem: str | None = None
    services: list[Service]
    names: list[Candidates]
    plugins: list[Plugin]
    changes: Annotated[list[StateChange], Field(description="the last changes of state, latest last")]


class ConfigOut(Schema):
    """The config that a service would be started with now, with secrets masked."""

    service: str
    config: JsonObject


class Changed(Schema):
    """What became of a change of stored settings."""

    revision: int
    persisted: Annotated[bool, Field(description="whether it outlives this process")]


class Setting(Schema):
    """Which layer one key of a setting came from."""

    key: str
    layer: str
    source: str
    value: Any = None


class Settings(Schema):
    """The keys of a setting and where each came from."""

    name: str
    keys: list[Setting]


class Call(Schema):
    """The arguments of a method."""

    args: list[Any] = Field(default_factory=list)
    kwargs: JsonObject = Field(default_factory=dict)


class CallResult(Schema):
    """What a method returned."""

    result: Any = None


class Manifest(Schema):
    """A manifest: YAML as text, or the object that it stands for. It is handed on untouched."""

    manifest: Annotated[str | JsonObject, Field(description="YAML as text, or an object")]


class ServiceManifest(Manifest):
    """A manifest for a service."""

    keep: Annotated[
        bool,
        Field(description="whether the service is provisioned from it from now on, in every replica"),
    ] = False


class Provisioned(Schema):
    """What a plugin did with a manifest."""

    provided: bool
    detail: str
    kept: Annotated[bool, Field(description="whether it is used again when the service is provisioned")] = (
        False
    )


class Regenerated(Schema):
    """Whether a pass was begun; false where one was under way."""

    begun: bool


class Me(Schema):
    """Who asks, and which changes they may make."""

    name: str
    means: str
    roles: list[str]


class Audited(Schema):
    """A change that somebody asked for."""

    id: int
    at: str
    actor: str
    means: str
    address: str
    action: str
    target: str
    detail: str
    outcome: str
