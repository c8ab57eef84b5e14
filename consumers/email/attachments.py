"""Reads the attachments of a message: content in a variable (base64), or files of one folder and of no other."""

from __future__ import annotations

import base64
import binascii
import errno
import json
import mimetypes
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from consumers.email.addresses import header_text
from core import values
from core.errors import PermanentError, TransientError
from core.texts import Text

COUNT_LIMIT = 50
_NAME_LIMIT = 200  # characters
_TYPE = re.compile(r"(?!multipart/|message/)[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,100}", re.IGNORECASE)
_KEYS = ("name", "content", "content_type", "file")
_SPACE = str.maketrans("", "", " \t\r\n")


class Attachment(NamedTuple):
    name: str
    content_type: str
    content: bytes


class Attachments:
    """Reads attachments. `folder` None: no files. `limit`: bytes of all attachments of one message together."""

    def __init__(self, folder: Path | None, limit: int) -> None:
        self._folder = folder
        self._limit = limit

    def read(self, value: Any) -> list[Attachment]:
        """Read a list of `{name, content, content_type}`, of `{file, name}` or of file names; one alone is enough.

        Raises PermanentError for what cannot be attached, TransientError for a file that cannot be read.
        """
        items = _items(value)
        if len(items) > COUNT_LIMIT:
            reason = Text(
                f"attachments: {len(items)} are given, {COUNT_LIMIT} are allowed",
                f"attachments: вложений {len(items)}, допускается {COUNT_LIMIT}",
            )
            raise PermanentError(reason, code="attachment")
        left, read = self._limit, []
        for item in items:
            attachment = self._one(item, left)
            left -= len(attachment.content)
            read.append(attachment)
        return read

    def _one(self, item: Any, left: int) -> Attachment:
        if isinstance(item, str):
            item = {"file": item}
        if not isinstance(item, Mapping):
            wanted = Text("a file name or {name, content}", "имя файла или {name, content}")
            raise values.BadValueError("attachments", item, wanted)
        if unknown := [key for key in item if key not in _KEYS]:
            known = ", ".join(_KEYS)
            wanted = Text(f"a key of an attachment: {known}", f"ключ вложения ({known})")
            raise values.BadValueError("attachments", unknown[0], wanted)
        if not values.is_blank(item.get("file")) and item.get("content") is not None:
            reason = Text(
                "attachments: file and content are given, one of them is meant",
                "attachments: заданы и file, и content, а нужно что-то одно",
            )
            raise PermanentError(reason, code="attachment")
        if not values.is_blank(item.get("file")):
            path, content = self._file(item["file"], left)
            name = header_text("attachments.name", item.get("name") or path.name)
        elif not values.is_blank(item.get("name")) and isinstance(item.get("content"), str):
            name = header_text("attachments.name", item["name"])
            content = self._decoded(name, item["content"], left)
        else:
            shown = {key: "…" if key == "content" else each for key, each in item.items()}
            wanted = Text(
                "a file name or {name, content} with content in base64",
                "имя файла или {name, content} с content в base64",
            )
            raise values.BadValueError("attachments", shown, wanted)
        name = _without_path(name)
        if not name or len(name) > _NAME_LIMIT:
            wanted = Text(
                f"a file name of at most {_NAME_LIMIT} characters", f"имя файла не длиннее {_NAME_LIMIT} символов"
            )
            raise values.BadValueError("attachments.name", name, wanted)
        return Attachment(name, _content_type(name, item.get("content_type")), content)

    def _decoded(self, name: str, content: str, left: int) -> bytes:
        compact = content.translate(_SPACE)
        if len(compact) // 4 * 3 > left + 2:
            raise self._too_large(name)
        try:
            decoded = base64.b64decode(compact, validate=True)
        except (binascii.Error, ValueError):
            which = Text(f"attachments: content of {name}", f"attachments: content вложения {name}")
            raise values.BadValueError(which, content[:50], Text.of("base64")) from None
        if len(decoded) > left:
            raise self._too_large(name)
        return decoded

    def _file(self, written: Any, left: int) -> tuple[Path, bytes]:
        if self._folder is None:
            shown = values.shown(written)
            reason = Text(
                f"attachment {shown}: EMAIL_ATTACHMENTS_DIR is not set",
                f"вложение {shown}: EMAIL_ATTACHMENTS_DIR не задана",
            )
            raise PermanentError(reason, code="attachment")
        name = header_text("attachments.file", written)
        try:
            root = self._folder.resolve(strict=True)
            path = (root / name).resolve()  # links are followed here: where they lead decides
            if Path(name).is_absolute() or not path.is_relative_to(root):
                reason = Text(
                    f"attachment {name!r} is outside of EMAIL_ATTACHMENTS_DIR",
                    f"вложение {name!r} находится вне EMAIL_ATTACHMENTS_DIR",
                )
                raise PermanentError(reason, code="attachment")
            if not path.is_file():
                raise _absent(name)
            with path.open("rb") as file:
                content = file.read(left + 1)
        except RuntimeError:  # links in a circle
            raise _absent(name) from None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                wanted = Text("the name of a file", "имя файла")
                raise values.BadValueError("attachments.file", name, wanted) from None
            reason = Text(
                f"attachment {name!r} cannot be read: {error.strerror}",
                f"вложение {name!r} не читается: {error.strerror}",
            )
            raise TransientError(reason, code="attachment") from None
        if len(content) > left:
            raise self._too_large(name)
        return path, content

    def _too_large(self, name: str) -> PermanentError:
        reason = Text(
            f"attachment {name!r}: the attachments are larger than EMAIL_MAX_ATTACHMENT_BYTES={self._limit}",
            f"вложение {name!r}: вложения вместе больше, чем EMAIL_MAX_ATTACHMENT_BYTES={self._limit}",
        )
        return PermanentError(reason, code="attachment_too_large")


def path_warnings(value: Any) -> list[Text]:
    """Return a warning for each name that a mail shows without the path before it. `value` has been read before."""
    given = [item.get("name") for item in _items(value) if isinstance(item, Mapping)]
    return [
        Text(
            f"attachments: {name} is attached as {_without_path(name)}",
            f"attachments: {name} вложено под именем {_without_path(name)}",
        )
        for name in given
        if isinstance(name, str) and _without_path(name) != name
    ]


def _absent(name: str) -> PermanentError:
    reason = Text(
        f"attachment {name!r}: there is no such file in EMAIL_ATTACHMENTS_DIR",
        f"вложение {name!r}: такого файла в EMAIL_ATTACHMENTS_DIR нет",
    )
    return PermanentError(reason, code="attachment")


def _without_path(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _items(value: Any) -> list[Any]:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise values.BadValueError("attachments", value, Text("a JSON object", "объект JSON")) from None
    return values.items(value)


def _content_type(name: str, given: Any) -> str:
    if values.is_blank(given):
        guessed, encoding = mimetypes.guess_type(name)
        given = guessed if guessed and not encoding and _TYPE.fullmatch(guessed) else "application/octet-stream"
    if not isinstance(given, str) or not _TYPE.fullmatch(given):
        wanted = Text("a content type such as application/pdf", "тип содержимого, например application/pdf")
        raise values.BadValueError("attachments.content_type", given, wanted)
    return given.lower()
