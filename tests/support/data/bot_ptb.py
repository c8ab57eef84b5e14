"""Does with python-telegram-bot what the other bots do, too; writes what it has seen as JSON.

Usage: <address> <token> <chats>
"""

import asyncio
import json
import sys

from telegram import Bot, LinkPreviewOptions, Message, MessageEntity, ReplyParameters
from telegram.error import ChatMigrated, Forbidden, RetryAfter, TelegramError
from telegram.helpers import escape_markdown

ADDRESS, TOKEN = sys.argv[1:3]
PERSON, FORUM, BLOCKED, MOVED, BUSY = map(int, sys.argv[3].split(","))


def shown(message: Message) -> list[object]:
    return [message.text, [[each.type, each.offset, each.length] for each in message.entities]]


async def refused(bot: Bot, chat: int, text: str, **options: object) -> list[object]:
    try:
        await bot.send_message(chat, text, **options)
    except RetryAfter as error:
        return ["flood", error.retry_after]
    except ChatMigrated as error:
        return ["migrated", error.new_chat_id]
    except Forbidden:
        return ["forbidden", None]
    except TelegramError as error:
        return ["refused", f"bad request: {error.message.lower()}"]
    return ["sent", None]


async def main() -> None:
    async with Bot(TOKEN, base_url=f"{ADDRESS}/bot") as bot:
        source = "<b>Счёт <i>7</i></b> &lt;🏟&gt; <a href='https://t.org/x?a=1&amp;b=2'>ссылка</a>\n<code>a*b</code>"
        html = await bot.send_message(PERSON, source, parse_mode="HTML")
        escaped = escape_markdown("1+1=2! [a](b) _c_ {d} |e| ~f~ #g >h .", version=2)
        markdown = await bot.send_message(PERSON, f"{escaped} *ж*", parse_mode="MarkdownV2")
        entities = await bot.send_message(
            PERSON,
            "🏟 жирно тайно a*b т\nx = 1",
            entities=[
                MessageEntity("bold", 3, 11),
                MessageEntity("spoiler", 9, 5),
                MessageEntity("code", 15, 3),
                MessageEntity("text_link", 19, 1, url="https://t.org/"),
                MessageEntity("pre", 21, 5, language="python"),
            ],
        )
        again = [
            await bot.send_message(PERSON, entities.text_html, parse_mode="HTML"),
            await bot.send_message(PERSON, entities.text_markdown_v2, parse_mode="MarkdownV2"),
        ]
        reply = await bot.send_message(
            FORUM,
            "  ответ \n",
            message_thread_id=7,
            disable_notification=True,
            protect_content=True,
            link_preview_options=LinkPreviewOptions(is_disabled=True),
            reply_parameters=ReplyParameters(message_id=html.message_id, chat_id=PERSON),
        )
        seen = {
            "me": (await bot.get_me()).username,
            "html": shown(html),
            "markdown": shown(markdown),
            "entities": shown(entities),
            "again": [shown(each) == shown(entities) for each in again],
            "reply": [reply.text, reply.message_thread_id, reply.reply_to_message.text, reply.has_protected_content],
            "refusals": [
                await refused(bot, PERSON, "a. b", parse_mode="MarkdownV2"),
                await refused(bot, PERSON, "<x>", parse_mode="HTML"),
                await refused(bot, PERSON, "x" * 4097),
                await refused(bot, 5, "x"),
                await refused(bot, BLOCKED, "x"),
                await refused(bot, MOVED, "x"),
                await refused(bot, BUSY, "x"),
            ],
        }
    json.dump(seen, sys.stdout, ensure_ascii=False)


asyncio.run(main())
