"""The tables of a journal as SQLAlchemy sees them, for whoever reads one. The migrations make them; a test compares."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, MetaData, SmallInteger, Table, Text

METADATA = MetaData()

MESSAGE = Table(
    "message",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("name", Text, nullable=False),
    Column("process", Text),
    Column("business", Text),
    Column("topic", Text),
    Column("system", Text),
    Column("queue", Text),
    Column("title", Text),
    Column("external", Text),
    Column("message_id", Text),
    Column("state", SmallInteger),
    Column("attempts", Integer),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("due", BigInteger),
    Column("code", Text),
    Column("outcome", Text),
    Column("reason", Text),
    Column("reason_ru", Text),
    Column("error_group", Text),
)
EVENT = Table(
    "event",
    METADATA,
    Column("message", BigInteger, primary_key=True),
    Column("at", BigInteger, primary_key=True),
    Column("kind", SmallInteger, primary_key=True),
    Column("detail", Text),
)
OCCURRENCE = Table(
    "occurrence",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("code", Text, nullable=False),
    Column("level", SmallInteger, nullable=False),
    Column("system", Text),
    Column("queue", Text),
    Column("line", Text, nullable=False),
    Column("fields", Text),
)
