"""Reads replies strictly on top of smtplib: what is no reply ends its connection, and nothing is ever read for ever."""

from __future__ import annotations

import re
import smtplib

from core.texts import BilingualError, Text

LINE_LIMIT = 8192  # bytes; RFC 5321 4.5.3.1.5 asks for 512
_LINES_LIMIT = 500  # of one reply
_LINE = re.compile(rb"([2-5][0-9]{2})(?:([- \t])(.*?))?[ \t\r]*\n", re.DOTALL)


class BadAnswerError(BilingualError, smtplib.SMTPException):
    """The other side sent what is no reply of SMTP; the connection is closed, for nobody knows what comes next."""


class Smtp(smtplib.SMTP):
    """A connection in clear, and with STARTTLS."""

    def getreply(self) -> tuple[int, bytes]:
        """Return a reply as smtplib does, but all lines must be of one kind (RFC 5321 4.2.1), few and short enough."""
        texts: list[bytes] = []
        kinds: set[bytes] = set()
        while True:
            line = self._line()
            found = _LINE.fullmatch(line)
            if found is None:
                raise self._broken(line)
            kinds.add(found[1][:1])
            texts.append(found[3] or b"")
            if len(kinds) > 1 or len(texts) > _LINES_LIMIT:
                raise self._broken(line)
            if found[2] != b"-":
                return int(found[1]), b"\n".join(texts)

    def _line(self) -> bytes:
        try:
            if self.sock is None:
                raise OSError("the connection is closed")
            if self.file is None:
                self.file = self.sock.makefile("rb")
            line: bytes = self.file.readline(LINE_LIMIT + 1)
        except OSError as error:
            self.close()
            raise smtplib.SMTPServerDisconnected(f"Connection unexpectedly closed: {error}") from error
        if not line:
            self.close()
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
        return line

    def _broken(self, line: bytes) -> BadAnswerError:
        self.close()
        said = repr(line[:100])
        return BadAnswerError(Text(f"{said} is no reply of a mail server", f"{said}: так почтовый сервер не отвечает"))


class SmtpSsl(smtplib.SMTP_SSL, Smtp):
    """A connection that is encrypted from the first byte."""
