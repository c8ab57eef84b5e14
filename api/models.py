"""What all answers are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, overload

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from core.texts import Text

EXAMPLE_TIME = "2026-11-23T08:02:16.020000Z"

Moment = Annotated[AwareDatetime, Field(examples=[EXAMPLE_TIME])]


class Answer(BaseModel):
    """The base of all answers. Times are RFC 3339 in UTC, durations are seconds."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class Both(Answer):
    """The same in both languages."""

    en: str = Field(examples=["responsible_id: user 77 is not there"])
    ru: str = Field(examples=["responsible_id: пользователя 77 нет"])


def moment(unix: float | None) -> datetime | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC)


def at(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)


@overload
def both(text: None) -> None: ...
@overload
def both(text: Text | Mapping[str, str]) -> Both: ...
def both(text: Text | Mapping[str, str] | None) -> Both | None:
    if text is None:
        return None
    return Both(en=text.en, ru=text.ru) if isinstance(text, Text) else Both(en=text["en"], ru=text["ru"])


def masked(value: Any, mask: Callable[[str], str]) -> Any:
    """Return the same answer without a secret in any of its texts."""
    match value:
        case str():
            return mask(value)
        case BaseModel():
            return value.model_copy(
                update={name: masked(getattr(value, name), mask) for name in type(value).model_fields}
            )
        case Mapping():
            return {name: masked(each, mask) for name, each in value.items()}
        case Sequence() if not isinstance(value, bytes):
            return [masked(each, mask) for each in value]
        case _:
            return value
