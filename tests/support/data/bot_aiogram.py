"""Does with aiogram what the other bots do, too; writes what it has seen as JSON. Usage: <address> <token> <chats>"""

import asyncio
import json
import sys

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import TelegramAPIError, TelegramForbiddenError, TelegramMigrateToChat, TelegramRetryAfter
from aiogram.types import LinkPreviewOptions, Message, ReplyParameters
from aiogram.utils.formatting import Bold, Code, Pre, Spoiler, Text, TextLink
from aiogram.utils.text_decorations import markdown_decoration

ADDRESS, TOKEN = sys.argv[1:3]
PERSON, FORUM, BLOCKED, MOVED, BUSY = map(int, sys.argv[3].split(","))


def shown(message: Message) -> list[object]:
    entities = message.entities or []
    return [message.text, [[each.type, each.offset, each.length] for each in entities]]


async def refused(bot: Bot, chat: int, text: str, **options: object) -> list[object]:
    try:
        await bot.send_message(chat, text, **options)
    except TelegramRetryAfter as error:
        return ["flood", error.retry_after]
    except TelegramMigrateToChat as error:
        return ["migrated", error.migrate_to_chat_id]
    except TelegramForbiddenError:
        return ["forbidden", None]
    except TelegramAPIError as error:
        return ["refused", error.message.removeprefix("Telegram server says - ").lower()]
    return ["sent", None]


async def main() -> None:
    session = AiohttpSession(api=TelegramAPIServer.from_base(ADDRESS))
    async with Bot(TOKEN, session=session) as bot:
        source = "<b>Счёт <i>7</i></b> &lt;🏟&gt; <a href='https://t.org/x?a=1&amp;b=2'>ссылка</a>\n<code>a*b</code>"
        html = await bot.send_message(PERSON, source, parse_mode="HTML")
        escaped = markdown_decoration.quote("1+1=2! [a](b) _c_ {d} |e| ~f~ #g >h .")
        markdown = await bot.send_message(PERSON, f"{escaped} *ж*", parse_mode="MarkdownV2")
        styled = Text(
            "🏟 ", Bold("жирно ", Spoiler("тайно")), " ", Code("a*b"), " ", TextLink("т", url="https://t.org/")
        )
        content = (styled + Text("\n") + Pre("x = 1", language="python")).as_kwargs()
        entities = await bot.send_message(PERSON, **content)
        again = [
            await bot.send_message(PERSON, entities.html_text, parse_mode="HTML"),
            await bot.send_message(PERSON, entities.md_text, parse_mode="MarkdownV2"),
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
