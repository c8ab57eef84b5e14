"""The matrix notices a secret wherever it stands, or it proves nothing about secrets."""

from __future__ import annotations

from pathlib import Path

from benchmarks.faults.leaks import secrets_of


def test_the_secrets_of_all_settings_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from-a-file\n")
    variables = {
        "RABBITMQ_PASSWORD_FILE": str(tmp_path / "password"),
        "BITRIX_WEBHOOK_URL": "http://127.0.0.1:8080/rest/1/s3cr3t-of-the-hook/",
        "DEFAULT_QUEUE_WEBHOOK_URL": "http://127.0.0.1:8080/jobs/report",
        "OPENPROJECT_TOKEN": "s3cr3t-token",
        "TELEGRAM_BOT_TOKEN": "123:abcdef",
        "EMAIL_SMTP_PASSWORD": "p4ssw0rd",
        "LOG_DIR": "/var/log",
        "ONEC_PASSWORD": "",
        "GONE_PASSWORD_FILE": str(tmp_path / "gone"),
    }
    assert secrets_of(variables) == {
        "RABBITMQ_PASSWORD": "from-a-file",
        "BITRIX_WEBHOOK_URL": "s3cr3t-of-the-hook",
        "OPENPROJECT_TOKEN": "s3cr3t-token",
        "TELEGRAM_BOT_TOKEN": "123:abcdef",
        "EMAIL_SMTP_PASSWORD": "p4ssw0rd",
    }
