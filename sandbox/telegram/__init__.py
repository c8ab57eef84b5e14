"""A faithful local Bot API for the demo and the tests: getMe and sendMessage, with real refusals.

with TelegramSandbox() as server:
    requests.post(f"{server.base_url}/bot{server.token}/sendMessage", json={"chat_id": 1001, "text": "Hello"})
    server.messages[0].text

Nobody finishes anything here: a message that is sent is finished.
"""

from sandbox.telegram.errors import ApiError
from sandbox.telegram.flood import FloodLimits
from sandbox.telegram.sandbox import TelegramSandbox
from sandbox.telegram.state import CHANNEL, CHATS, GROUP, PERSON, SUPERGROUP, Chat, Message

__all__ = [
    "CHANNEL",
    "CHATS",
    "GROUP",
    "PERSON",
    "SUPERGROUP",
    "ApiError",
    "Chat",
    "FloodLimits",
    "Message",
    "TelegramSandbox",
]
