"""Within a Django project: its settings, databases and routers hold, and it migrates by itself."""

from __future__ import annotations

from pathlib import Path

from tests.serv.processes import Script

SETTINGS = """
from pathlib import Path
HERE = Path(__file__).parent
INSTALLED_APPS = ["jsorc_serv"]
DATABASES = {
    name: {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE / f"{name}.sqlite3"}
    for name in ("default", "store")
}
USE_TZ = True
SECRET_KEY = "for a test"
"""
ASK = """
def ask():
    from jsorc import JsOrc
    try:
        return JsOrc.src("hook").get_obj("a", "nothing there")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


def project(folder: Path, **files: str) -> dict[str, str]:
    """Writes the modules of a project, and returns the variables under which it runs."""
    for name, text in {"project": SETTINGS, "ask": ASK, **files}.items():
        (folder / f"{name}.py").write_text(text)
    return {"DJANGO_SETTINGS_MODULE": "project", "PYTHONWARNINGS": "default"}


MIGRATE = "from django.core.management import call_command; call_command('migrate', verbosity=0)\n"


def test_a_project_migrates_by_itself_and_an_error_says_so(tmp_path: Path) -> None:
    variables = project(tmp_path)
    code = f"""
import json, django
from ask import ask
django.setup()
before = ask()
{MIGRATE}
print(json.dumps([before, ask()]))
"""
    before, after = Script(code, tmp_path, **variables).answer()
    assert before.startswith("ServiceUnavailable")
    assert "manage.py migrate jsorc_serv" in before
    assert after == "nothing there"
    assert not list((tmp_path / "data").rglob("*.sqlite3"))


def test_asked_before_the_apps_are_ready_it_says_so_and_works_at_the_next_call(tmp_path: Path) -> None:
    early = SETTINGS + "from ask import ask\nEARLY = ask()\n"
    variables = project(tmp_path, project=early)
    code = f"""
import json, django
from ask import ask
django.setup()
from django.conf import settings
{MIGRATE}
print(json.dumps([settings.EARLY, ask()]))
"""
    early_answer, later = Script(code, tmp_path, **variables).answer()
    assert early_answer.startswith("ServiceUnavailable")
    assert "before Django's apps are ready" in early_answer
    assert later == "nothing there"


def test_a_project_that_was_not_set_up_is_not_set_up_behind_its_back(tmp_path: Path) -> None:
    code = "import json\nfrom ask import ask\nprint(json.dumps(ask()))"
    assert "django.setup()" in Script(code, tmp_path, **project(tmp_path)).answer()


def test_a_project_without_the_application_is_told_how_to_add_it(tmp_path: Path) -> None:
    variables = project(tmp_path, project=SETTINGS.replace('["jsorc_serv"]', "[]"))
    code = "import json, django\nfrom ask import ask\ndjango.setup()\nprint(json.dumps(ask()))"
    answer = Script(code, tmp_path, **variables).answer()
    assert answer.startswith("ConfigError")
    assert "INSTALLED_APPS" in answer


def test_the_router_of_the_project_says_where_the_tables_are(tmp_path: Path) -> None:
    router = """
class Router:
    def db_for_read(self, model, **hints):
        return "store" if model._meta.app_label == "jsorc_serv" else None
    db_for_write = db_for_read
    def allow_migrate(self, db, app_label, **hints):
        return (db == "store") == (app_label == "jsorc_serv")
"""
    variables = project(tmp_path, router=router, project=SETTINGS + 'DATABASE_ROUTERS = ["router.Router"]\n')
    code = """
import json, django
django.setup()
from django.core.management import call_command
for database in ("default", "store"):
    call_command("migrate", database=database, verbosity=0)
from jsorc import JsOrc
with JsOrc.src("hook") as hook:
    hook.save_obj("a", 1)
from django.db import connections
print(json.dumps({name: connections[name].introspection.table_names() for name in connections}))
"""
    tables = Script(code, tmp_path, **variables).answer()
    assert "jsorc_serv_storedobject" in tables["store"]
    assert "jsorc_serv_storedobject" not in tables["default"]


def test_with_database_regeneration_the_first_use_migrates_the_project(tmp_path: Path) -> None:
    code = "import json, django\nfrom ask import ask\ndjango.setup()\nprint(json.dumps(ask()))"
    variables = {**project(tmp_path), "JSORC_DB_REGEN_CONFIG__ENABLED": "true"}
    assert Script(code, tmp_path, **variables).answer() == "nothing there"


def test_the_models_and_the_migrations_agree(tmp_path: Path) -> None:
    code = """
import django, json
django.setup()
from django.core.management import call_command
call_command("check")
call_command("makemigrations", "jsorc_serv", check=True, dry_run=True, verbosity=0)
print("true")
"""
    assert Script(code, tmp_path, **project(tmp_path)).answer() is True


def test_a_database_that_a_newer_version_has_migrated_is_named_and_used(tmp_path: Path) -> None:
    code = """
import json, logging, django
from ask import ask
django.setup()
ask()
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
MigrationRecorder(connection).record_applied("jsorc_serv", "0999_of_tomorrow")
heard = []
class Listener(logging.Handler):
    def emit(self, record):
        heard.append(record.getMessage())
logging.getLogger("jsorc.serv").addHandler(Listener())
from jsorc import Orchestrator
other = Orchestrator()
print(json.dumps([other.src("hook").get_obj("a", "nothing there"), heard]))
"""
    variables = {**project(tmp_path), "JSORC_DB_REGEN_CONFIG__ENABLED": "true"}
    answer, heard = Script(code, tmp_path, **variables).answer()
    assert answer == "nothing there"
    assert len(heard) == 1
    assert "0999_of_tomorrow" in heard[0]
