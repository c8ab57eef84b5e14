"""The methods of the Bot API that the worker and its judges use.

Source: core.telegram.org/bots/api; tdlib/telegram-bot-api 01a3679c, Client.cpp, for the order of the checks: the markup
is read before the chat is looked at, the finished text after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.telegram import formatting
from sandbox.telegram.errors import ApiError, bad_request
from sandbox.telegram.flood import Flood
from sandbox.telegram.params import as_texts, is_true, json_object
from sandbox.telegram.state import Chat, Message, State

BOT = {"id": 110201543, "is_bot": True, "first_name": "Task Creator", "username": "task_creator_bot"}

Params = Mapping[str, Any]


def answer(state: State, flood: Flood, method: str, params: Params) -> dict[str, Any]:
    """The `result`, with the lock held. Raises ApiError."""
    wanted = _METHODS.get(method.lower())
    if wanted is None:
        raise ApiError(404, "Not Found")
    return wanted(state, flood, params)


def _get_me(_state: State, _flood: Flood, _params: Params) -> dict[str, Any]:
    return {**BOT, "can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False}


def _send_message(state: State, flood: Flood, sent: Params) -> dict[str, Any]:
    params = as_texts(sent)
    preview = json_object(params.get("link_preview_options", ""), "link preview options")
    source, marked = formatting.read(params)
    reply = _wanted_reply(params)
    chat = _chat(state, params)
    thread = _thread(chat, params)
    replied = _replied(state, chat, reply)
    text, entities = formatting.finished(source, marked)
    flood.pass_one(chat.id)
    message = state.write(
        chat,
        text,
        entities,
        dict(sent),
        is_silent=is_true(params.get("disable_notification", "")),
        is_protected=is_true(params.get("protect_content", "")),
        thread=thread,
        reply_to=replied.message_id if replied is not None else None,
    )
    view = _view(message, chat)
    if replied is not None:
        view["reply_to_message"] = _view(replied, state.chats[replied.chat_id])
    return {**view, "link_preview_options": preview} if preview else view


def _chat(state: State, params: Params) -> Chat:
    if not params.get("chat_id", ""):
        raise bad_request("chat_id is empty")
    return state.find(params["chat_id"])


def _thread(chat: Chat, params: Params) -> int | None:
    thread = params.get("message_thread_id", "")
    if not thread:
        return None
    if not thread.isdecimal() or int(thread) not in chat.topics:
        raise bad_request("message thread not found")
    return int(thread)


def _wanted_reply(params: Params) -> dict[str, Any]:
    if "reply_parameters" not in params:
        allowed = is_true(params.get("allow_sending_without_reply", ""))
        message_id = params.get("reply_to_message_id", "")
        return {"message_id": int(message_id), "allow_sending_without_reply": allowed} if message_id.isdecimal() else {}
    reply = json_object(params["reply_parameters"], "reply parameters")
    if reply and type(reply.get("message_id")) is not int:
        raise bad_request('can\'t find field "message_id"' if "message_id" not in reply else "wrong message_id")
    return reply


def _replied(state: State, chat: Chat, reply: Mapping[str, Any]) -> Message | None:
    if reply.get("message_id", 0) <= 0:
        return None
    of = chat if "chat_id" not in reply else state.find(reply["chat_id"])
    found = state.message(of.id, reply["message_id"])
    if found is None and not reply.get("allow_sending_without_reply"):
        raise bad_request("message to be replied not found")
    return found


def _view(message: Message, chat: Chat) -> dict[str, Any]:
    view: dict[str, Any] = {"message_id": message.message_id}
    if chat.kind == "channel":
        view["sender_chat"] = chat.view()
    else:
        view["from"] = BOT
    view |= {"chat": chat.view(), "date": message.date}
    if message.thread is not None:
        view |= {"message_thread_id": message.thread, "is_topic_message": True}
    view["text"] = message.text
    if message.entities:
        view["entities"] = list(message.entities)
    return {**view, "has_protected_content": True} if message.is_protected else view


_METHODS: Mapping[str, Callable[[State, Flood, Params], dict[str, Any]]] = {
    "getme": _get_me,
    "sendmessage": _send_message,
}
