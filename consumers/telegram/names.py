"""Lists the names under which a message is given, and finds those that were given for nothing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from core.inputs import Inputs
from core.texts import Text

TEXTS = ("text", "message", "body")
TITLES = ("title", "subject")
CHATS = ("chat_id", "chat_ids")
THREAD, PREVIEW = "message_thread_id", "link_preview"
FLAGS = ("disable_notification", "protect_content")

_OF_ONE_THING = (("text_html", *TEXTS), TITLES, CHATS)
# What else the Bot API knows (core.telegram.org/bots/api#sendmessage), or would need another method for.
_OF_THE_API = frozenset(
    (
        *("parse_mode", "entities", "disable_web_page_preview", "link_preview_options", "reply_markup"),
        *("reply_parameters", "reply_to_message_id", "business_connection_id", "direct_messages_topic_id"),
        *("allow_paid_broadcast", "message_effect_id", "suggested_post_parameters"),
        *("photo", "document", "audio", "video", "caption", "attachments"),
    )
)


def unused(inputs: Inputs, topic: str, filled: Collection[str]) -> Iterator[Text]:
    """Yield a sentence for what is not used. `filled` are names that stand in the text as `{name}`."""
    for names in _OF_ONE_THING:
        given = [name for name in names if name not in filled and inputs.first(name)]
        won = "text_html" if "text_html" in given else (inputs.first(*names) or ("",))[0]
        for name in given:
            if name != won:
                yield Text(f"{name} is not used: {won} is given", f"{name}: не использовано, задано {won}")
    of_step = {*inputs.extensions, *inputs.parameters}
    if others := ", ".join(sorted((of_step & _OF_THE_API) - set(filled))):
        yield Text(f"{topic} has no use for {others}", f"{topic} не использует {others}")
