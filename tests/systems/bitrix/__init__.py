"""Bitrix24: tasks and CRM items."""
