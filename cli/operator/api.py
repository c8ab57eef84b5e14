"""`main.py api`: serves the REST API in this process."""

from __future__ import annotations

from argparse import Namespace

from api.serving import serve
from api.settings import ApiSettings
from api.tokens import TokensError, tokens_of
from cli.exit_codes import EXIT_BAD_CONFIGURATION, EXIT_FAILURE, EXIT_OK
from cli.output import Output
from cli.running import CommandError
from core.texts import Text
from operation.desk import Desk


def run(desk: Desk, output: Output, _options: Namespace) -> int:
    told = desk.settings.for_system(ApiSettings)
    try:
        tokens, made = tokens_of(told)
    except TokensError as error:
        raise CommandError(EXIT_BAD_CONFIGURATION, error.text) from error
    if made is not None:
        output.note(
            Text(
                f"no token is configured: one for an operator was made in {made}",
                f"токены не заданы: токен оператора создан в {made}",
            )
        )
    address = f"[{told.host}]" if ":" in told.host else told.host
    place = f"http://{address}:{told.port}"
    output.note(Text(f"the REST API listens at {place}/api/v1", f"REST API слушает на {place}/api/v1"))
    if serve(desk, told, tokens):
        return EXIT_OK
    text = Text(f"{place} cannot be listened at: see the line above", f"{place} занять нельзя: см. строку выше")
    raise CommandError(EXIT_FAILURE, text)
