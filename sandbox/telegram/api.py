"""The methods of the Bot API that the worker and its judges use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.telegram.entities import parse_html, units
from sandbox.telegram.errors import ApiError, bad_request
from sandbox.telegram.flood import Flood
from sandbox.telegram.state import State

LIMIT = 4096
BOT = {"id": 110201543, "is_bot": True, "first_name": "Task Creator", "username": "task_creator_bot"}
_WORDS = {"true": True, "false": False, "1": True, "0": False}

Params = dict[str, Any]


def answer(state: State, flood: Flood, method: str, params: Params) -> dict[str, Any]:
    """The `result`, with the lock held. Raises ApiError."""
    wanted = _METHODS.get(method.lower())
    if wanted is None:
        raise ApiError(404, "Not Found")
    return wanted(state, flood, params)


def _get_me(_state: State, _flood: Flood, _params: Params) -> dict[str, Any]:
    return {**BOT, "can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False}


def _send_message(state: State, flood: Flood, params: Params) -> dict[str, Any]:
    if params.get("chat_id") in (None, ""):
        raise bad_request("chat_id is empty")
    text, entities = _text(params)
    chat = state.find(params["chat_id"])
    thread = params.get("message_thread_id")
    if thread is not None and not (str(thread).isdecimal() and int(thread) in chat.topics):
        raise bad_request("message thread not found")
    for name in ("disable_notification", "protect_content"):
        _flag(params, name)
    flood.pass_one(chat.id)
    message = state.write(chat, text, entities, params)
    view = {
        "message_id": message.message_id,
        "from": BOT,
        "chat": chat.view(),
        "date": message.date,
        "text": message.text,
    }
    return {**view, "entities": list(message.entities)} if message.entities else view


def _text(params: Params) -> tuple[str, list[dict[str, Any]]]:
    source = params.get("text")
    if not isinstance(source, str) or not source:
        raise bad_request("message text is empty")
    mode = str(params.get("parse_mode") or "").lower()
    if mode not in ("", "html"):
        raise bad_request("unsupported parse_mode")
    text, entities = parse_html(source) if mode else (source, [])
    if units(text) > LIMIT:
        raise bad_request("message is too long")
    if not text.strip():
        raise bad_request("message text is empty")
    return text, entities


def _flag(params: Mapping[str, Any], name: str) -> None:
    value = params.get(name, False)
    if not isinstance(value, bool) and str(value).lower() not in _WORDS:
        raise bad_request(f'field "{name}" must be of type Boolean')


_METHODS: Mapping[str, Callable[[State, Flood, Params], dict[str, Any]]] = {
    "getme": _get_me,
    "sendmessage": _send_message,
}
