"""Settings: what a person writes arrives, and what is wrong is told all at once, in words that help."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, SecretStr, ValidationError

import config
from assembly.startup import read_configuration
from broker.settings import RabbitMQSettings
from config import HandlerEntry, Settings, TrackerEntry, WorkerSettings, load_settings
from consumers.bitrix.config import BitrixSettings
from consumers.email.config import EmailSettings
from consumers.onec.config import OneCSettings
from consumers.openproject.config import OpenProjectSettings
from consumers.telegram.config import TelegramSettings
from core.texts import Language, Text
from sandbox.process import ROOT
from settings.base import EnvironmentSettings
from settings.errors import Mistake, SettingsError, ValueProblem
from settings.loader import SHOWN_LENGTH
from settings.names import secret_fields, variables_of
from settings.texts import default_text
from settings.values import Endpoint, parse_endpoints, parse_pairs

EXAMPLE = ROOT / "config.env.example"
# Those of every handler and tracker of config.py, and of the alerts.
SYSTEMS: tuple[type[EnvironmentSettings], ...] = tuple(read_configuration({}, Path("no .env")).settings.systems)
CLASSES: tuple[type[EnvironmentSettings], ...] = (RabbitMQSettings, WorkerSettings, *SYSTEMS)
WEBHOOK = "https://portal.example.ru/rest/1/abc9def8ghi7"
MAIL = {"EMAIL_SMTP_HOST": "mail.example.ru", "EMAIL_FROM": "robot@example.ru"}


def load(environ: dict[str, str] | None = None, env_file: Path | None = None) -> Settings:
    return load_settings(environ or {}, env_file, SYSTEMS)


def mistakes(environ: dict[str, str], env_file: Path | None = None) -> dict[str, Mistake]:
    with pytest.raises(SettingsError) as caught:
        load(environ, env_file)
    return {Text.of(each.variable).en: each for each in reversed(caught.value.mistakes)}


def told_about(environ: dict[str, str]) -> tuple[Mistake, ...]:
    try:
        load(environ)
    except SettingsError as error:
        return error.mistakes
    return ()


def problem_of(parse: Callable[[], object]) -> tuple[str, ...] | None:
    """All texts of the problem, None if there is none."""
    try:
        parse()
    except ValueProblem as error:
        return (*error.problem, *error.hint)
    return None


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example as the README says: copied, and nobody else's to read."""
    copied = tmp_path / "copied.env"
    copied.write_bytes(EXAMPLE.read_bytes())
    copied.chmod(0o600)
    return copied


def warnings(settings: Settings) -> dict[str, str]:
    return {each.variable: each.text.en for each in settings.warnings}


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


class TestValues:
    def test_nothing_set_gives_a_developers_machine(self) -> None:
        settings = load()
        assert settings.rabbitmq.endpoints == (Endpoint("localhost", 5672),)
        assert settings.rabbitmq.username == settings.rabbitmq.password.get_secret_value() == "guest"
        assert settings.for_system(BitrixSettings).webhook_url is None
        assert settings.warnings == ()

    def test_the_specifications_own_example_is_read(self, env_file: Path) -> None:
        env_file.write_text(
            "# RabbitMQ настройки\nRABBITMQ_HOST=rmq.example.ru\nRABBITMQ_USERNAME=admin\nRABBITMQ_PASSWORD=admin\n\n"
            "BITRIX_WEBHOOK_URL=https://bx.example.ru/rest/1/123123123123\n\n"
            "LOG_LEVEL=INFO\nHEARTBEAT_INTERVAL=60\nRETRY_ATTEMPTS=3\n",
            "utf-8",
        )
        settings = load(env_file=env_file)
        assert settings.rabbitmq.endpoints == (Endpoint("rmq.example.ru", 5672),)
        webhook = settings.for_system(BitrixSettings).webhook_url
        assert webhook is not None
        assert webhook.get_secret_value() == "https://bx.example.ru/rest/1/123123123123"

    def test_the_environment_wins_over_the_file(self, env_file: Path) -> None:
        env_file.write_text("LOG_LEVEL=DEBUG\nPREFETCH=7\n")
        worker = load({"LOG_LEVEL": "warning"}, env_file).worker
        assert (worker.log_level, worker.prefetch) == ("WARNING", 7)

    def test_an_empty_value_counts_as_not_set(self, env_file: Path) -> None:
        env_file.write_text("PREFETCH=7\nCONCURRENCY=\n")
        worker = load({"PREFETCH": "", "CONCURRENCY": " ", "RETRY_ATTEMPTS": ""}, env_file).worker
        assert (worker.prefetch, worker.concurrency, worker.retry_attempts) == (7, 4, 3)

    def test_the_process_environment_is_not_read_behind_the_callers_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RABBITMQ_HOST", "elsewhere")
        monkeypatch.setenv("LOG_LEVEL", "nonsense")
        assert load() == load_settings({}, None, SYSTEMS)
        assert RabbitMQSettings().host == "localhost"

    def test_settings_do_not_change(self) -> None:
        with pytest.raises(ValidationError):
            load().worker.prefetch = 5

    def test_a_password_may_hold_a_dollar_sign_and_spaces(self, env_file: Path) -> None:
        env_file.write_text("RABBITMQ_PASSWORD='pa$HOME ${x} word'\n")
        assert load({"HOME": "/root"}, env_file).rabbitmq.password.get_secret_value() == "pa$HOME ${x} word"

    def test_the_port_follows_tls_unless_it_is_set(self) -> None:
        assert load({"RABBITMQ_TLS": "true"}).rabbitmq.endpoints == (Endpoint("localhost", 5671),)
        assert load({"RABBITMQ_TLS": "true", "RABBITMQ_PORT": "5672"}).rabbitmq.port == 5672

    def test_several_hosts_each_with_its_port(self) -> None:
        rabbitmq = load({"RABBITMQ_HOST": "rmq-1, rmq-2:5673,[::1]:5674,::1", "RABBITMQ_PORT": "1"}).rabbitmq
        expected = [("rmq-1", 1), ("rmq-2", 5673), ("::1", 5674), ("::1", 1)]
        assert list(rabbitmq.endpoints) == expected

    @given(
        st.lists(st.tuples(st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True), st.integers(1, 65535))).filter(bool)
    )
    def test_written_endpoints_are_read_back(self, endpoints: list[tuple[str, int]]) -> None:
        assert list(parse_endpoints(",".join(f"{host}:{port}" for host, port in endpoints), 1)) == endpoints

    @given(st.text())
    def test_any_text_for_hosts_is_read_or_refused_with_a_reason(self, text: str) -> None:
        for parse in (lambda: parse_endpoints(text, 5672), lambda: parse_pairs(text)):
            assert problem_of(parse) is None or all(problem_of(parse) or ())

    def test_queues_have_their_own_prefetch_and_concurrency(self) -> None:
        worker = load(
            {"QUEUE_PREFETCH": "bitrix24.queue=200, 1c.queue=10", "QUEUE_CONCURRENCY": '{"1c.queue": 1}'}
        ).worker
        assert [worker.prefetch_of(q, 300) for q in ("bitrix24.queue", "1c.queue", "default.queue")] == [200, 10, 300]
        assert [worker.concurrency_of(q) for q in ("1c.queue", "default.queue")] == [1, 4]

    def test_a_tariff_chooses_the_request_limits_unless_they_are_set(self) -> None:
        enterprise = load({"BITRIX_TARIFF": "enterprise"}).for_system(BitrixSettings)
        assert (enterprise.rate_limit_per_second, enterprise.rate_limit_burst) == (5, 250)
        own = load({"BITRIX_TARIFF": "enterprise", "BITRIX_RATE_LIMIT_BURST": "9"}).for_system(BitrixSettings)
        assert (own.rate_limit_per_second, own.rate_limit_burst) == (5, 9)

    @pytest.mark.parametrize("written", [WEBHOOK, f"{WEBHOOK}/", f" {WEBHOOK}// "])
    def test_a_webhook_is_the_same_with_and_without_a_slash(self, written: str) -> None:
        webhook = load({"BITRIX_WEBHOOK_URL": written}).for_system(BitrixSettings).webhook_url
        assert webhook == SecretStr(WEBHOOK)

    def test_lists_and_maps_of_bitrix(self) -> None:
        bitrix = load({"BITRIX_FINISHED_STATUSES": "5", "BITRIX_ANSWER_TEXTS": "30=да, 31=нет"}).for_system(
            BitrixSettings
        )
        assert bitrix.finished_statuses == frozenset({5})
        assert bitrix.answer_texts == {"30": "да", "31": "нет"}


class TestTelegram:
    @pytest.mark.parametrize("written", ["abc", "123456", "123456:", "123456:a/b", "bot123456:abcdef"])
    def test_what_is_no_token_is_a_mistake_that_does_not_show_it(self, written: str) -> None:
        mistake = mistakes({"TELEGRAM_BOT_TOKEN": written})["TELEGRAM_BOT_TOKEN"]
        assert written not in mistake.render("en") + mistake.render("ru")

    @pytest.mark.parametrize("written", ["socks5://host:1080", "socks5h://u:p@host:1080", "host:3128", "http://", "x"])
    def test_a_proxy_is_an_http_proxy(self, written: str) -> None:
        [mistake] = mistakes({"TELEGRAM_PROXY": written}).values()
        assert ("SOCKS" in mistake.problem.en) == written.startswith("socks")
        assert ("SOCKS" in mistake.problem.ru) == written.startswith("socks")

    @pytest.mark.parametrize(
        ("written", "chats"),
        [("-1001234567890", "-1001234567890"), (" 5, @Channel ,5", "5,@Channel"), ("", None)],
    )
    def test_the_default_chat(self, written: str, chats: str | None) -> None:
        assert load({"TELEGRAM_CHAT_ID": written}).for_system(TelegramSettings).chat_id == chats
        assert set(mistakes({"TELEGRAM_CHAT_ID": f"{written}, general chat"})) == {"TELEGRAM_CHAT_ID"}

    def test_token_and_proxy_are_handed_out_for_masking(self) -> None:
        given = {"TELEGRAM_BOT_TOKEN": "123456:abcdef", "TELEGRAM_PROXY": "http://user:password@host:3128"}
        assert set(load(given).secret_values()) == set(given.values())

    def test_the_state_folder_is_the_daemons(self, tmp_path: Path) -> None:
        assert load({"STATE_DIR": str(tmp_path)}).for_system(TelegramSettings).state_dir == tmp_path


class TestOpenProject:
    @pytest.mark.parametrize(
        ("written", "url"),
        [
            ("https://op.example.ru/", "https://op.example.ru"),
            ("https://op.example.ru/openproject/api/v3", "https://op.example.ru/openproject"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ],
    )
    def test_the_address_is_taken_as_people_copy_it(self, written: str, url: str) -> None:
        settings = load({"OPENPROJECT_URL": written, "OPENPROJECT_TOKEN": "opapi-1234567"})
        assert settings.for_system(OpenProjectSettings).url == url

    @pytest.mark.parametrize(
        "written", ["op.example.ru", "ftp://op.example.ru", "https://u:p@op.example.ru", "https://"]
    )
    def test_what_is_no_address_is_explained(self, written: str) -> None:
        [mistake] = mistakes({"OPENPROJECT_URL": written, "OPENPROJECT_TOKEN": "opapi-1234567"}).values()
        assert "https://host" in mistake.hint.en

    def test_an_address_without_a_token_is_a_mistake(self) -> None:
        assert set(mistakes({"OPENPROJECT_URL": "https://op.example.ru"})) == {"OPENPROJECT_TOKEN"}

    def test_statuses_stand_for_answers(self) -> None:
        openproject = load({"OPENPROJECT_ANSWERS": "Closed=ДА, Rejected=НЕТ"}).for_system(OpenProjectSettings)
        assert openproject.answers == {"Closed": "ДА", "Rejected": "НЕТ"}


class TestEmail:
    def test_the_port_follows_the_kind_of_encryption(self) -> None:
        for tls, port in (("starttls", 587), ("tls", 465), ("none", 25)):
            assert load({"EMAIL_TLS": tls}).for_system(EmailSettings).smtp_port == port
        assert load({"EMAIL_SMTP_PORT": "2525"}).for_system(EmailSettings).smtp_port == 2525

    def test_a_host_needs_a_sender_and_a_user_needs_a_password(self) -> None:
        assert set(mistakes({"EMAIL_SMTP_HOST": "mail.example.ru"})) == {"EMAIL_FROM"}
        assert set(mistakes({**MAIL, "EMAIL_SMTP_USERNAME": "robot"})) == {"EMAIL_SMTP_PASSWORD"}
        assert set(mistakes({**MAIL, "EMAIL_SMTP_PASSWORD": "robots-secret"})) == {"EMAIL_SMTP_USERNAME"}

    @pytest.mark.parametrize(
        "written", ["robot", "Робот <robot@example.ru>", "a@b@c.ru", "робот@example.ru", "a@b.ru,c@d.ru"]
    )
    def test_a_sender_is_one_bare_address(self, written: str) -> None:
        for variable in ("EMAIL_FROM", "EMAIL_REPLY_TO"):
            [mistake] = mistakes({**MAIL, variable: written}).values()
            assert "noreply@example.ru" in mistake.hint.en

    @pytest.mark.parametrize(
        "written", ["mail.example.ru:587", "mail.example.ru:25", "a,b", "smtp://mail.example.ru", "a b"]
    )
    def test_a_host_is_one_name(self, written: str) -> None:
        assert "EMAIL_SMTP_HOST" in mistakes({**MAIL, "EMAIL_SMTP_HOST": written})

    def test_folders_must_be_there(self, tmp_path: Path) -> None:
        for variable in ("EMAIL_TEMPLATES_DIR", "EMAIL_ATTACHMENTS_DIR"):
            assert set(mistakes({variable: str(tmp_path / "missing")})) == {variable}
            assert load({variable: str(tmp_path)}).warnings == ()

    def test_domains_are_read_in_their_ascii_form(self) -> None:
        settings = load({"EMAIL_ALLOWED_DOMAINS": "Example.ru, @пример.рф"}).for_system(EmailSettings)
        assert settings.allowed_domains == {"example.ru", "xn--e1afmkfd.xn--p1ai"}
        assert set(mistakes({"EMAIL_ALLOWED_DOMAINS": "a b.ru"})) == {"EMAIL_ALLOWED_DOMAINS"}


class TestMaps:
    def test_the_maps_have_the_specifications_shape(self) -> None:
        assert set(config.QUEUE_HANDLERS["bitrix24.queue"]) == {"module", "handler_class", "description"}
        assert set(config.TRACKER_CONFIG["bitrix24.sent.queue"]) == {"module", "tracker_class", "description"}
        assert dict(config.SENT_QUEUES) == {
            f"{system}.queue": f"{system}.sent.queue"
            for system in ("bitrix24", "openproject", "1c", "python-services", "email", "telegram", "default")
        }

    def test_every_tracker_follows_a_sent_queue(self) -> None:
        assert set(config.TRACKER_CONFIG) <= set(config.SENT_QUEUES.values())
        assert set(config.QUEUE_HANDLERS) <= set(config.SENT_QUEUES)

    def test_the_environment_adds_replaces_and_removes_entries(self) -> None:
        worker = load(
            {
                "QUEUE_HANDLERS": json.dumps(
                    {"new.queue": {"module": "m", "handler_class": "C"}, "bitrix24.queue": None}
                ),
                "TRACKER_CONFIG": json.dumps({"bitrix24.sent.queue": {"module": "m", "tracker_class": "T"}}),
                "SENT_QUEUES": json.dumps({"1c.queue": "one.sent.queue"}),
            }
        ).worker
        assert set(worker.queue_handlers) == {"new.queue", *config.QUEUE_HANDLERS} - {"bitrix24.queue"}
        assert worker.queue_handlers["new.queue"] == HandlerEntry(module="m", handler_class="C")
        assert set(worker.tracker_config) == set(config.TRACKER_CONFIG)
        assert worker.tracker_config["bitrix24.sent.queue"] == TrackerEntry(module="m", tracker_class="T")
        assert worker.sent_queue_of("1c.queue") == "one.sent.queue"
        assert worker.sent_queue_of("new.queue") == "new.sent.queue"

    def test_a_map_given_by_code_is_taken_as_it_is(self) -> None:
        assert WorkerSettings(queue_handlers={}).queue_handlers == {}


class TestMistakes:
    def test_all_mistakes_are_told_at_once(self, env_file: Path) -> None:
        env_file.write_text("BITRX_WEBHOOK_URL=x\nno equals sign\n")
        found = mistakes(
            {
                "RABBITMQ_HEARTBEAT": "6oo",
                "RABBITMQ_CERT_FILE": "/nowhere/cert.pem",
                "LOG_LEVEL": "LOUD",
                "RETRY_DELAY": "1000",
                "QUEUE_PREFETCH": "a=0,b=x",
                "BITRIX_WEBHOOK_URL": "portal.example.ru",
                "BITRIX_TIMEZONE": "Moskau",
                "RABBITMQ_HOSTS": "x",
            },
            env_file,
        )
        assert set(found) == {
            f"{env_file}, line 2",
            "RABBITMQ_HEARTBEAT",
            "RABBITMQ_CERT_FILE",
            "LOG_LEVEL",
            "RETRY_MAX_DELAY",
            "QUEUE_PREFETCH",
            "BITRIX_WEBHOOK_URL",
            "BITRIX_TIMEZONE",
            "BITRX_WEBHOOK_URL",
            "RABBITMQ_HOSTS",
        }

    @pytest.mark.parametrize(
        ("variable", "value", "problem", "hint"),
        [
            ("RABBITMQ_PORT", "56x72", "это не целое число", "не меньше 1, не больше 65535"),
            ("RABBITMQ_PORT", "70000", "не больше 65535", "целое число"),
            ("RABBITMQ_PORT", "tcp://10.0.0.1:5672", "Kubernetes", "enableServiceLinks"),
            ("RABBITMQ_HOST", "amqp://rabbit", "не имя узла", "через запятую"),
            ("RABBITMQ_HOST", "rabbit:", "не номер порта", "host:port"),
            ("RABBITMQ_HOST", "rabbit:99999", "не номер порта", "host:port"),
            ("RABBITMQ_HOST", "a,,b", "не имя узла", "host"),
            ("RABBITMQ_TLS", "ja", "не true и не false", "RABBITMQ_TLS=false"),
            ("RABBITMQ_QUEUE_TYPE", "quorm", "нет среди допустимых", "classic, quorum"),
            ("RABBITMQ_CONNECTION_TIMEOUT", "nan", "не конечное число", "больше 0"),
            ("RABBITMQ_CA_FILE", "/nowhere", "TLS выключен", "RABBITMQ_TLS=true"),
            ("HEARTBEAT_INTERVAL", "0", "должно быть больше 0", "например HEARTBEAT_INTERVAL=60"),
            ("HEARTBEAT_INTERVAL", "1 мин", "это не число", "число"),
            ("PREFETCH", "0", "не меньше 1", "целое число, не меньше 1, не больше 65535"),
            ("QUEUE_PREFETCH", "bitrix24.queue", "не пара имя=значение", "a=1,b=2"),
            ("QUEUE_CONCURRENCY", '{"1c.queue": "x"}', "1c.queue: это не целое число", "config.env.example"),
            ("QUEUE_HANDLERS", "{", "это не JSON", "в одну строку"),
            ("QUEUE_HANDLERS", "[1]", "не объект JSON", "в одну строку"),
            ("QUEUE_HANDLERS", '{"x.queue": {"module": "m"}}', "x.queue.handler_class: не задано", "config.env"),
            ("QUEUE_HANDLERS", "[" * 100_000, "это не JSON", "в одну строку"),
            ("TRACKER_CONFIG", '{"x": {"module": "m", "tracker_class": "T", "tipo": 1}}', "неизвестный ключ", ""),
            ("LOG_LEVEL", "LOUD", "нет среди допустимых", "DEBUG, INFO, WARNING, ERROR, CRITICAL"),
            ("MAX_MESSAGE_BYTES", "8 MiB", "не целое число", "8388608"),
            ("BITRIX_WEBHOOK_URL", f"{WEBHOOK}/profile.json", "есть лишнее", "уберите имя метода"),
            ("BITRIX_WEBHOOK_URL", "https://portal.example.ru/rest/abc", "не адрес", "https://host/rest/1/код"),
            ("BITRIX_DEFAULT_PRIORITY", "3", "не больше 2", "целое число"),
            ("BITRIX_KEY_FIELD", "uf_key", "нельзя хранить ключ", "UF_…"),
            ("BITRIX_FINISHED_STATUSES", "4,9", "'9': должно быть не больше 7", "4,5"),
            ("BITRIX_FINISHED_STATUSES", ",", "слишком мало значений", "4,5"),
            ("BITRIX_TIMEZONE", "../../etc/passwd", "неизвестный часовой пояс", "Europe/Moscow"),
            ("BITRIX_ROLES_FILE", "/nowhere/roles.yaml", "такого файла нет", "существующему"),
            ("BITRIX_BATCH_SIZE", "51", "не больше 50", ""),
        ],
    )
    def test_a_wrong_value_is_explained(self, variable: str, value: str, problem: str, hint: str) -> None:
        mistake = mistakes({variable: value})[variable]
        assert problem in mistake.problem.ru
        assert hint in mistake.hint.ru
        assert mistake.problem.en
        assert not re.search("[а-яА-Я]", mistake.problem.en + mistake.hint.en)

    def test_a_rendered_error_names_variable_value_and_fix_in_both_languages(self) -> None:
        with pytest.raises(SettingsError) as caught:
            load({"RABBITMQ_HEARTBEAT": "6oo", "LOG_LEVL": "INFO"})
        rendered: dict[Language, str] = {"en": caught.value.render("en"), "ru": caught.value.render("ru")}
        for text in rendered.values():
            assert "RABBITMQ_HEARTBEAT=6oo" in text
            assert "RABBITMQ_HEARTBEAT=30" in text
            assert "LOG_LEVEL?" in text
        assert "Mistakes in the settings: 2" in rendered["en"] == str(caught.value)
        assert "Ошибки в настройках: 2" in rendered["ru"]

    def test_a_wrong_value_draws_no_complaint_about_what_hangs_on_it(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").touch()
        found = mistakes({"RABBITMQ_TLS": "ja", "RABBITMQ_CA_FILE": str(tmp_path / "ca.pem"), "BITRIX_TARIFF": "gold"})
        assert set(found) == {"RABBITMQ_TLS", "BITRIX_TARIFF"}

    def test_a_client_certificate_needs_its_key(self, tmp_path: Path) -> None:
        (tmp_path / "cert.pem").touch()
        files = {"RABBITMQ_TLS": "true", "RABBITMQ_CERT_FILE": str(tmp_path / "cert.pem")}
        assert "RABBITMQ_KEY_FILE" in mistakes(files)["RABBITMQ_CERT_FILE"].hint.en
        assert load(files | {"RABBITMQ_KEY_FILE": str(tmp_path / "cert.pem")}).rabbitmq.key_file

    @pytest.mark.parametrize("folders", [30, 300])
    def test_a_long_path_is_shown_with_the_end_by_which_it_is_known(self, folders: int) -> None:
        path = f"/srv/{'integration/' * folders}roles.yaml"
        shown = mistakes({"BITRIX_ROLES_FILE": path})["BITRIX_ROLES_FILE"].shown or ""
        assert shown.startswith("/srv/integration/integration/")
        assert shown.endswith("/integration/roles.yaml")
        assert (shown == path) == (folders == 30)

    def test_a_value_cannot_forge_lines_of_the_report(self) -> None:
        shown = mistakes({"LOG_LEVEL": "x\n  RABBITMQ_HOST=fine\x1b[31m" + "y" * 5000})["LOG_LEVEL"].shown
        assert shown is not None
        assert shown.isprintable()
        assert len(shown) <= SHOWN_LENGTH

    def test_mistakes_of_the_daemon_do_not_hide_those_of_the_systems(self) -> None:
        def find(worker: WorkerSettings) -> list[type[EnvironmentSettings]]:
            assert worker.prefetch is None, "the default stands in for the wrong value"
            assert "bitrix24.queue" in worker.queue_handlers
            return [BitrixSettings]

        with pytest.raises(SettingsError) as caught:
            load_settings({"PREFETCH": "0", "BITRIX_BATCH_SIZE": "0"}, None, find)
        assert {each.variable for each in caught.value.mistakes} == {"PREFETCH", "BITRIX_BATCH_SIZE"}

    @given(st.sampled_from([name for cls in CLASSES for name in variables_of(cls).values()]), st.text())
    def test_any_text_in_any_variable_is_accepted_or_explained(self, variable: str, value: str) -> None:
        told = told_about({variable: value})
        assert all(each.problem.ru and each.hint.ru for each in told)
        beside = {"RETRY_MAX_DELAY", "EMAIL_FROM", "EMAIL_SMTP_USERNAME", "EMAIL_SMTP_PASSWORD"}
        beside |= {"HOOK_BITRIX24_NAME", "HOOK_BITRIX24_TOKEN", "HOOK_OPENPROJECT_NAME", "HOOK_OPENPROJECT_SECRET"}
        assert {each.variable for each in told} <= {variable, f"{variable}_FILE", *beside}


class TestSystemsOfOthers:
    def test_a_system_may_bring_settings_of_its_own(self) -> None:
        class NewSystemSettings(EnvironmentSettings):
            env_prefix = "NEWSYSTEM_"
            url: str
            token: SecretStr = SecretStr("")
            size: Annotated[int, Field(ge=1)] = 5

        settings = load_settings(
            {"NEWSYSTEM_URL": "http://x", "NEWSYSTEM_TOKEN": "t0ken-of-it"}, None, [NewSystemSettings]
        )
        assert settings.for_system(NewSystemSettings).url == "http://x"
        assert "t0ken-of-it" in settings.secret_values()
        with pytest.raises(SettingsError) as caught:
            load_settings({"NEWSYSTEM_SIZE": "0"}, None, [NewSystemSettings])
        found = {each.variable: each.problem.en for each in caught.value.mistakes}
        assert found == {"NEWSYSTEM_URL": "is not set", "NEWSYSTEM_SIZE": "must be at least 1"}

    def test_a_class_that_was_not_given_has_no_settings(self) -> None:
        with pytest.raises(KeyError):
            load_settings({}, None).for_system(BitrixSettings)

    def test_handler_and_tracker_of_a_system_share_one_object(self) -> None:
        settings = load_settings({}, None, [BitrixSettings, BitrixSettings])
        assert list(settings.systems) == [BitrixSettings]


class TestNames:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("RABBITMQ_HOSTS", "RABBITMQ_HOST"),
            ("RABITMQ_PASSWORD", "RABBITMQ_PASSWORD"),
            ("RABBITMQ_USER", "RABBITMQ_USERNAME"),
            ("RABBITMQ_VHOST", "RABBITMQ_VIRTUAL_HOST"),
            ("BITRIX24_WEBHOOK_URL", "BITRIX_WEBHOOK_URL"),
            ("BITRIX_WEBHOOK_URL_FLIE", "BITRIX_WEBHOOK_URL_FILE"),
            ("LOG_LEVL", "LOG_LEVEL"),
            ("LOGLEVEL", "LOG_LEVEL"),
            ("rabbitmq_host", "RABBITMQ_HOST"),
            ("HEARTBEAT_INTERVALL", "HEARTBEAT_INTERVAL"),
            ("RETRY_ATEMPTS", "RETRY_ATTEMPTS"),
        ],
    )
    def test_a_misspelt_name_is_a_mistake_wherever_it_stands(self, written: str, meant: str, env_file: Path) -> None:
        env_file.write_text(f"{written}=secret-value\n")
        for found in (mistakes({written: "secret-value"}), mistakes({}, env_file)):
            assert f"did you mean {meant}?" in found[written].hint.en
            assert f"возможно, вы имели в виду {meant}?" in found[written].hint.ru
            assert found[written].shown is None, "it may be a secret"

    def test_a_vaguely_similar_name_is_a_mistake_in_the_file_only(self, env_file: Path) -> None:
        env_file.write_text("RABBITMQ_CONN_TIMEOUT=10\n")
        assert "RABBITMQ_CONNECTION_TIMEOUT" in mistakes({}, env_file)["RABBITMQ_CONN_TIMEOUT"].hint.en
        assert load({"RABBITMQ_CONN_TIMEOUT": "10"}).warnings == ()

    @pytest.mark.parametrize(
        "name",
        ["RABBITMQ_NODENAME", "RABBITMQ_NODE_PORT", "RABBITMQ_DEFAULT_USER", "RABBITMQ_TASKS_EXCHANGE_TYPE", "LOGDIR",
         "RABBITMQ_SERVICE_HOST", "RABBITMQ_PORT_5672_TCP", "RABBITMQ_LOGS", "PATH", "HOME", "LOGNAME", "HOSTNAME"],
    )  # fmt: skip
    def test_names_of_other_software_are_left_alone(self, name: str, env_file: Path) -> None:
        assert load({name: "x"}).warnings == ()

    def test_a_similar_name_beside_the_right_one_is_only_mentioned(self) -> None:
        assert "RABBITMQ_HOSTS" in warnings(load({"RABBITMQ_HOSTS": "a", "RABBITMQ_HOST": "localhost"}))

    @pytest.mark.parametrize("name", ["FOO", "SMTP_REQUEST_TIMEOUT", "ONEC_WEBHOOK_URL", "OPENPROJECT_WEBHOOK_URL"])
    def test_an_unknown_name_in_the_file_is_mentioned(self, name: str, env_file: Path) -> None:
        env_file.write_text(f"{name}=x\n")
        env_file.chmod(0o600)
        assert list(warnings(load(env_file=env_file))) == [name]

    @pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
    def test_a_file_of_passwords_that_everybody_may_read_is_mentioned(
        self, mode: int, told: bool, env_file: Path
    ) -> None:
        env_file.write_text("RABBITMQ_PASSWORD=secret-of-ours\n")
        env_file.chmod(mode)
        assert (str(env_file) in warnings(load(env_file=env_file))) == told

    def test_no_known_name_is_taken_for_a_slip_of_another(self, example: Path) -> None:
        names = [name for cls in CLASSES for name in variables_of(cls).values()]
        assert {name for name in names if names.count(name) > 1} <= {"STATE_DIR"}, "which is shared on purpose"
        assert not load({}, example).warnings


class TestFiles:
    def test_a_secret_may_lie_in_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "password").write_bytes("сложный пароль \r\n".encode())
        (tmp_path / "webhook").write_text(f"{WEBHOOK}/\n")
        settings = load(
            {"RABBITMQ_PASSWORD_FILE": str(tmp_path / "password"), "BITRIX_WEBHOOK_URL_FILE": str(tmp_path / "webhook")}
        )
        assert settings.rabbitmq.password.get_secret_value() == "сложный пароль "
        assert settings.for_system(BitrixSettings).webhook_url == SecretStr(WEBHOOK)

    @pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe\x00", b"x" * 100_000])
    def test_a_file_without_a_readable_secret_is_a_mistake(self, content: bytes | None, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        if content is not None:
            path.write_bytes(content)
        assert str(path) in (mistakes({"RABBITMQ_PASSWORD_FILE": str(path)})["RABBITMQ_PASSWORD_FILE"].shown or "")

    def test_a_secret_given_twice_is_a_mistake(self, tmp_path: Path) -> None:
        (tmp_path / "password").write_text("from the file")
        environ = {"RABBITMQ_PASSWORD": "in the open", "RABBITMQ_PASSWORD_FILE": str(tmp_path / "password")}
        assert "RABBITMQ_PASSWORD is set as well" in mistakes(environ)["RABBITMQ_PASSWORD_FILE"].problem.en

    def test_a_missing_env_file_is_an_empty_one(self, tmp_path: Path) -> None:
        assert load(env_file=tmp_path / "absent") == load()

    @pytest.mark.parametrize("content", ["LOG_LEVEL=ОШИБКА".encode("cp1251"), None])
    def test_an_unreadable_env_file_is_a_mistake(self, content: bytes | None, env_file: Path) -> None:
        if content is None:
            env_file.mkdir()
        else:
            env_file.write_bytes(content)
        assert str(env_file) in mistakes({}, env_file)

    @pytest.mark.parametrize(
        "line", ["RABBITMQ_PASSWORD", "RABBITMQ_PASSWORD s3cr3t", "RABBITMQ_PASSWORD='s3cr3t", "= x"]
    )
    def test_a_broken_line_is_named_by_number_and_not_shown(self, line: str, env_file: Path) -> None:
        env_file.write_text(f"LOG_LEVEL=INFO\n{line}\nPREFETCH=5\n")
        with pytest.raises(SettingsError) as caught:
            load(env_file=env_file)
        assert f"{env_file}, line 2" in str(caught.value)
        assert "s3cr3t" not in str(caught.value)

    def test_what_editors_of_windows_add_does_no_harm(self, env_file: Path) -> None:
        env_file.write_bytes("\ufeffLOG_LEVEL=DEBUG\r\nPREFETCH=7\r\n".encode())
        assert load(env_file=env_file).worker.log_level == "DEBUG"

    def test_a_name_given_twice_is_mentioned(self, env_file: Path) -> None:
        env_file.write_text("PREFETCH=5\nPREFETCH=6\n")
        settings = load(env_file=env_file)
        assert settings.worker.prefetch == 6
        assert "twice" in warnings(settings)["PREFETCH"]


class TestSecrets:
    SECRET = "correct-horse-battery"

    def test_no_secret_is_shown_by_settings_or_their_mistakes(self, env_file: Path) -> None:
        env_file.write_text(f"RABBITMQ_PASWORD={self.SECRET}\n")
        environ = {
            "RABBITMQ_PASSWORD": self.SECRET,
            "BITRIX_WEBHOOK_URL": f"https://portal/{self.SECRET}",
            "RABBITMQ_HOST": f"amqp://user:{self.SECRET}@rabbit",
        }
        with pytest.raises(SettingsError) as caught:
            load(environ, env_file)
        assert set(environ) - {"RABBITMQ_PASSWORD"} <= {each.variable for each in caught.value.mistakes}
        for text in (str(caught.value), repr(caught.value), caught.value.render("ru")):
            assert self.SECRET not in text
        assert self.SECRET not in repr(load({"RABBITMQ_PASSWORD": self.SECRET}))

    def test_every_secret_is_handed_out_for_masking_but_no_published_default(self) -> None:
        assert list(load().secret_values()) == []
        settings = load({"RABBITMQ_PASSWORD": self.SECRET, "BITRIX_WEBHOOK_URL": WEBHOOK})
        assert set(settings.secret_values()) == {self.SECRET, WEBHOOK}

    def test_whoever_adds_a_secret_field_gets_a_file_variable(self) -> None:
        assert secret_fields(RabbitMQSettings) == {"password"}
        assert secret_fields(BitrixSettings) == {"webhook_url"}
        assert secret_fields(OpenProjectSettings) == {"token"}
        assert secret_fields(TelegramSettings) == {"bot_token", "proxy"}
        assert secret_fields(OneCSettings) == {"password"}
        assert secret_fields(EmailSettings) == {"smtp_password"}


class TestWarnings:
    @pytest.mark.parametrize(
        ("environ", "variable"),
        [
            ({"RABBITMQ_HEARTBEAT": "0"}, "RABBITMQ_HEARTBEAT"),
            ({"RABBITMQ_TLS": "yes", "RABBITMQ_TLS_VERIFY": "no"}, "RABBITMQ_TLS_VERIFY"),
            ({"RABBITMQ_HOST": "rmq.example.ru"}, "RABBITMQ_USERNAME"),
            ({"RABBITMQ_PASSWORD": "admin"}, "RABBITMQ_PASSWORD"),
            ({"BITRIX_WEBHOOK_URL": WEBHOOK.replace("https", "http")}, "BITRIX_WEBHOOK_URL"),
            ({"BITRIX_REQUEST_TIMEOUT": "30"}, "BITRIX_REQUEST_TIMEOUT"),
            ({"BITRIX_TLS_VERIFY": "false"}, "BITRIX_TLS_VERIFY"),
            ({"OPENPROJECT_URL": "http://op.example.ru", "OPENPROJECT_TOKEN": "opapi-1234567"}, "OPENPROJECT_URL"),
            ({"OPENPROJECT_REQUEST_TIMEOUT": "30"}, "OPENPROJECT_REQUEST_TIMEOUT"),
            ({"OPENPROJECT_TLS_VERIFY": "false"}, "OPENPROJECT_TLS_VERIFY"),
            ({"TELEGRAM_BOT_TOKEN": "123456:abcdef", "TELEGRAM_API_URL": "http://bots.example.ru"}, "TELEGRAM_API_URL"),
            ({"ONEC_URL": "http://1c.example.ru/base", "ONEC_USERNAME": "u"}, "ONEC_URL"),
            ({"ONEC_TLS_VERIFY": "false"}, "ONEC_TLS_VERIFY"),
            ({**MAIL, "EMAIL_TLS": "none"}, "EMAIL_TLS"),
            ({**MAIL, "EMAIL_TLS_VERIFY": "false"}, "EMAIL_TLS_VERIFY"),
            ({**MAIL, "EMAIL_DATA_TIMEOUT": "60"}, "EMAIL_DATA_TIMEOUT"),
        ],
    )
    def test_what_works_but_is_unwise_is_mentioned(self, environ: dict[str, str], variable: str) -> None:
        assert list(warnings(load(environ))) == [variable]

    def test_a_webhook_on_this_machine_may_use_http(self) -> None:
        assert load({"BITRIX_WEBHOOK_URL": "http://127.0.0.1:8080/rest/1/abcdef"}).warnings == ()


class TestExampleFile:
    """config.env.example and the classes say the same."""

    def test_it_names_every_variable_and_no_other(self) -> None:
        text = EXAMPLE.read_text("utf-8")
        secret_files = {f"{variables_of(cls)[name]}_FILE" for cls in CLASSES for name in secret_fields(cls)}
        assert set(dotenv_values(EXAMPLE)) == {name for cls in CLASSES for name in variables_of(cls).values()}
        assert secret_files == set(re.findall(r"^# (\w+_FILE)=", text, re.MULTILINE))

    def test_copied_as_it_is_it_changes_nothing(self, example: Path) -> None:
        assert load(env_file=example) == load()

    def test_it_shows_every_default(self) -> None:
        shown = dotenv_values(EXAMPLE)
        for cls in CLASSES:
            for field, variable in variables_of(cls).items():
                info = cls.model_fields[field]
                if not info.default_factory:
                    assert shown[variable] == default_text(info), variable

    def test_it_holds_no_secret(self) -> None:
        shown = dotenv_values(EXAMPLE)
        assert not [name for cls in CLASSES for name in secret_fields(cls) if shown[variables_of(cls)[name]]]

    def test_every_variable_is_explained_in_english_and_russian(self) -> None:
        for block in EXAMPLE.read_text("utf-8").split("\n\n"):
            lines = block.splitlines()
            if any(re.match(r"[A-Z]", line) for line in lines):
                assert re.search(r"^# .*[A-Za-z]{3}", lines[0]), block
                assert not re.search("[а-яА-Я]", lines[0]), block
                assert any(re.search(r"^# .*[а-яА-Я]{3}", line) for line in lines[1:]), block


def test_a_system_class_needs_no_cross_checks() -> None:
    class Plain(EnvironmentSettings):
        env_prefix = "PLAIN_"
        size: int = 1

    plain: Any = load_settings({"PLAIN_SIZE": "2"}, None, [Plain]).for_system(Plain)
    assert plain.size == 2
    assert list(plain.cross_check()) == list(plain.notices()) == []
