"""The embedded project as a settings module: `DJANGO_SETTINGS_MODULE=jsorc_serv.settings`.

It reads the settings of the default orchestrator when it is imported; what they hold is told in `project`
and `web`.
"""

from __future__ import annotations

from pathlib import Path

from jsorc import JsOrc
from jsorc_serv.web import web_settings

JsOrc.plugins()  # which finds the plugins, and with them the names of their settings
_settings = web_settings(JsOrc.orchestrator.settings)
_database = _settings["DATABASES"]["default"]
if "sqlite3" in _database["ENGINE"]:
    # A command of Django connects before anything of JsOrc is asked.
    Path(_database["NAME"]).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
globals().update(_settings)
