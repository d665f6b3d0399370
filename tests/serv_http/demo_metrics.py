"""What a plugin that exposes metrics brings: the repository `metrics`."""

from __future__ import annotations

from jsorc import JsOrc


@JsOrc.repository("metrics")
class Metrics:
    """Metrics as Prometheus reads them."""

    def exposition(self) -> tuple[bytes, str]:
        return b"up 1\n", "text/plain; version=0.0.4; charset=utf-8"
