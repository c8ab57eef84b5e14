"""A second system for tests that need one beside Bitrix24."""

from __future__ import annotations

from typing import Any

from base_handler import BaseMessageHandler


class OtherHandler(BaseMessageHandler):
    def __init__(self) -> None:
        super().__init__("other")

    def _process_message_impl(self, message_data: dict[str, Any], properties: Any) -> dict[str, Any]:
        return {"result": {"task": {"id": f"other-{message_data['task_id']}"}}}

    def _get_original_queue_name(self) -> str:
        return "other.queue"
