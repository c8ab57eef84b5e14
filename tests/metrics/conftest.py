"""A worker with every system, which is not started."""

from __future__ import annotations

from pathlib import Path

import pytest

from assembly.worker import Worker
from tests.support.live_worker import startup

SERVICES = '[services.echo]\nkind = "http"\ntopics = ["echo"]\nurl = "http://127.0.0.1:1/jobs"\n'
SETTINGS = {
    "BITRIX_WEBHOOK_URL": "https://portal.example.ru/rest/1/abc9def8ghi7jkl6",
    "OPENPROJECT_URL": "https://project.example.ru",
    "OPENPROJECT_TOKEN": "0123456789abcdef",
    "ONEC_URL": "https://1c.example.ru/base",
    "ONEC_USERNAME": "robot",
    "ONEC_PASSWORD": "long-enough",
    "EMAIL_SMTP_HOST": "mail.example.ru",
    "EMAIL_FROM": "worker@example.ru",
    "DEFAULT_QUEUE_WEBHOOK_URL": "https://last.example.ru/resort",
}
USED = ("bitrix24", "openproject", "1c", "email", "python-services", "default")
UNUSED = "telegram"


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    services = tmp_path / "services.toml"
    services.write_text(SERVICES)
    made = startup({**SETTINGS, "SERVICES_FILE": str(services)}, tmp_path)
    return Worker(made.settings, made.handlers, made.trackers)
