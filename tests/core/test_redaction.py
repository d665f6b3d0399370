"""What is a secret, and that it is masked in values, texts, errors and log records."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from jsorc import redaction
from jsorc.redaction import MASK, get_logger, is_secret_key, learn, mask, mask_text, scrub


@pytest.fixture
def secret() -> str:
    """A value that no other test has taught the process."""
    return f"s3cr3t-{uuid.uuid4().hex}"


class Kept(logging.Handler):
    """A handler that writes records as an application's would, and keeps the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        self.lines: list[str] = []
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    logger = logging.getLogger("jsorc.test_redaction")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    "key",
    (
        "password db_password REDIS_PASSWORD password2 passwd pwd token accessToken read_tokens client_secret"
        " secretKey key api_key apiKey APIKey apikey SMTP-PASSWORD auth basic_auth credentials credential"
        " auth.value requirepass"
    ).split(),
)
def test_a_key_with_a_secret_word_is_secret(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key",
    "monkey keyspace keyboard host port author authors tokenizer passenger routing_key public_key key_prefix"
    " password_file auth_type secret_name keyprefix".split(),
)
def test_a_key_that_only_resembles_a_secret_is_not_one(key: str) -> None:
    assert not is_secret_key(key)


def test_further_secret_keys_are_compared_without_regard_to_case() -> None:
    assert is_secret_key("Signature", ["SIGNATURE"])
    assert not is_secret_key("signature")


def test_the_values_under_secret_keys_are_masked_in_a_copy() -> None:
    config = {"host": "h", "password": "abc", "nested": [{"api_key": 5, "port": 1}]}
    assert mask(config) == {"host": "h", "password": MASK, "nested": [{"api_key": MASK, "port": 1}]}
    assert config["password"] == "abc"


def test_the_secret_keys_of_a_service_are_masked_too() -> None:
    assert mask({"signature": "abc"}, ["signature"]) == {"signature": MASK}


def test_what_hides_nothing_stays_visible_under_a_secret_key() -> None:
    plain = {"password": None, "auth": True, "token": "", "secret": {"$env": "SMTP_PASSWORD"}}
    assert mask(plain) == plain


def test_a_reference_that_is_no_variable_name_is_masked() -> None:
    assert mask({"password": {"$env": "not a name!"}}) == {"password": MASK}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://user:pw@host:1/0", f"redis://user:{MASK}@host:1/0"),
        ("redis://:pw@host", f"redis://:{MASK}@host"),
        ("amqp://u:p@ss@host/v", f"amqp://u:{MASK}@host/v"),
        ("redis://:pa/ss@host:1", f"redis://:{MASK}@host:1"),
        ("http://host:8000/users/@me", "http://host:8000/users/@me"),
        ("http://[::1]:8080/a@b", "http://[::1]:8080/a@b"),
        ("redis://host/0?password=pw&db=1", f"redis://host/0?password={MASK}&db=1"),
        ("host=x password=pw dbname=y", f"host=x password={MASK} dbname=y"),
        ("server --password=pw -token=pw", f"server --password={MASK} -token={MASK}"),
        ("Redis(password='p w', db=1)", f"Redis(password={MASK}, db=1)"),
        ("chose key=hook", "chose key=hook"),
    ],
)
def test_credentials_in_free_text_are_masked(text: str, masked: str) -> None:
    assert mask_text(text) == masked


def test_a_learned_secret_is_masked_inside_any_text(secret: str) -> None:
    assert secret in mask_text(f"refused <{secret}>")
    learn({"servers": [{"password": secret}]})
    assert mask_text(f"refused <{secret}>") == f"refused <{MASK}>"
    assert mask({"note": f"was {secret}"}) == {"note": f"was {MASK}"}


def test_the_password_of_a_learned_url_is_masked_alone(secret: str) -> None:
    learn({"url": f"redis://user:{secret}@host"})
    assert mask_text(f"WRONGPASS {secret}") == f"WRONGPASS {MASK}"


def test_a_learned_secret_is_masked_as_it_is_quoted(secret: str) -> None:
    spelled = f"{secret}\\é/\n'"
    learn({"password": spelled})
    import json
    from urllib.parse import quote

    for written in (repr(spelled), json.dumps(spelled), quote(spelled, safe=""), f"{spelled}!"):
        assert secret not in mask_text(written)


def test_the_password_of_an_escaped_url_is_masked_in_both_forms(secret: str) -> None:
    learn({"url": f"redis://:{secret}%40x@host"})
    assert mask_text(f"{secret}@x") == MASK
    assert mask_text(f"{secret}%40x") == MASK


def test_the_secret_keys_of_a_service_are_learned(secret: str) -> None:
    learn({"signature": secret}, ["signature"])
    assert mask_text(secret) == MASK


def test_the_user_of_a_pair_is_not_learned_as_a_secret(secret: str) -> None:
    learn(
        {
            "basic_auth": ["elastic-user", secret],
            "credentials": {"username": "some-user", "value": f"{secret}2"},
        }
    )
    assert mask_text(f"elastic-user some-user {secret} {secret}2") == f"elastic-user some-user {MASK} {MASK}"


def test_short_and_ordinary_values_are_not_learned() -> None:
    learn({"password": "abc", "auth": "basic", "token": True, "key": None, "secret": "    "})
    assert mask_text("abc basic True None    .") == "abc basic True None    ."


def test_the_name_of_a_referenced_variable_is_not_learned() -> None:
    learn({"password": {"$env": "TEST_REDACTION_VARIABLE"}})
    assert mask_text("TEST_REDACTION_VARIABLE") == "TEST_REDACTION_VARIABLE"


def test_a_circle_and_a_very_deep_value_are_shown_to_a_bounded_depth() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    assert mask(circle) == [1, "…"]
    deep: Any = "leaf"
    for _ in range(5000):
        deep = [deep]
    learn(deep)
    assert "…" in repr(mask(deep))


def test_what_is_not_json_like_becomes_masked_text(secret: str) -> None:
    learn({"token": secret})

    class Odd:
        def __str__(self) -> str:
            return f"odd {secret}"

    assert mask({"a": Odd(), "b": secret.encode(), "c": (1, 2)}) == {
        "a": f"odd {MASK}",
        "b": MASK,
        "c": [1, 2],
    }


def test_credentials_in_a_url_that_is_a_key_are_masked() -> None:
    assert mask({"http://u:pw@h": 1}) == {f"http://u:{MASK}@h": 1}


def test_an_exception_is_scrubbed_along_its_chain(secret: str) -> None:
    learn({"password": secret})
    cause = OSError(5, f"no {secret}", f"/run/{secret}")
    cause.add_note(f"note {secret}")
    context = KeyError((f"a {secret}", [secret.encode()]))
    error = ValueError("outer", {"text": secret})
    error.__cause__ = cause
    cause.__context__ = context
    context.__context__ = error

    assert scrub(error) is error
    for part in (error, cause, context):
        assert secret not in repr(part)
        assert secret not in str(part)
    assert cause.__notes__ == [f"note {MASK}"]
    assert cause.errno == 5


def test_the_members_of_an_exception_group_are_scrubbed(secret: str) -> None:
    learn({"password": secret})
    inner = ValueError(secret)
    scrub(ExceptionGroup("several", [ExceptionGroup("inner", [inner])]))
    assert inner.args == (MASK,)


def test_a_log_record_is_masked_before_a_handler_sees_it(kept: Kept, secret: str) -> None:
    logger = get_logger("jsorc.test_redaction")
    learn({"password": secret})
    logger.warning("config %s of %s", {"password": "abc", "n": 1}, f"<{secret}>", extra={"detail": [secret]})
    assert kept.lines == [f"WARNING config {{'password': '{MASK}', 'n': 1}} of <{MASK}>"]
    assert vars(kept.records[0])["detail"] == [MASK]


def test_a_logged_traceback_is_masked(kept: Kept, secret: str) -> None:
    logger = get_logger("jsorc.test_redaction")
    learn({"password": secret})
    try:
        raise ValueError(f"wrong {secret}")
    except ValueError:
        logger.exception("failed")
    assert f"ValueError: wrong {MASK}" in kept.lines[0]
    assert secret not in repr(vars(kept.records[0]))
    assert kept.records[0].exc_info is None


def test_a_traceback_without_a_secret_keeps_its_exception(kept: Kept) -> None:
    logger = get_logger("jsorc.test_redaction")
    error = ValueError("plain")
    logger.warning("failed", exc_info=error)
    assert kept.records[0].exc_info is not None
    assert kept.records[0].exc_info[1] is error


def test_a_message_that_does_not_fit_its_arguments_is_still_masked(kept: Kept, secret: str) -> None:
    learn({"password": secret})
    get_logger("jsorc.test_redaction").warning(f"{secret} %d", "text")
    assert kept.lines[0].startswith(f"WARNING {MASK} %d (this log message could not be formatted")


def test_a_logger_has_one_filter_however_often_it_is_asked_for() -> None:
    assert get_logger("jsorc.test_redaction") is get_logger("jsorc.test_redaction")
    assert len(get_logger("jsorc.test_redaction").filters) == 1


def test_masking_takes_linear_time_on_hostile_text() -> None:
    # Each of these takes minutes where the search is quadratic, and the time limit of the test then ends it.
    for text in ("a" * 200_000 + "://", "a://b:" * 40_000, "?" * 200_000 + "=", ("a=" + "'") * 60_000):
        redaction.mask_text(text)
