"""Checks the mapping against `$metadata` before any message needs it: what an administrator should repair."""

from __future__ import annotations

from collections.abc import Iterator

from consumers.onec.completion import completion_of
from consumers.onec.mapping import ODataTopic, OneCMapping
from consumers.onec.metadata import Metadata
from consumers.onec.slots import slot_for
from core.errors import ConfigurationError
from core.texts import Text


def mistakes(mapping: OneCMapping, metadata: Metadata) -> Iterator[Text]:
    """Yield one sentence for each name of the mapping that the infobase does not have, with the topic."""
    for name, topic in mapping.topics.items():
        if isinstance(topic, ODataTopic):
            try:
                yield from (_about(name, text) for text in _of_topic(topic, metadata))
            except ConfigurationError as error:
                yield _about(name, error.text)


def _about(topic: str, text: Text) -> Text:
    return Text(f"topic {topic}: {text.en}", f"топик {topic}: {text.ru}")


def _of_topic(topic: ODataTopic, metadata: Metadata) -> Iterator[Text]:
    """Yield the mistakes of a topic. Raises ConfigurationError for what spoils the whole topic."""
    entity = metadata.entity(topic.entity)
    for attribute, spec in topic.fields.items():
        try:
            slot_for(attribute, spec, entity, metadata)
        except ConfigurationError as error:
            if error.code == "entity_unknown":  # what it refers to
                raise
            yield error.text
    if topic.is_tracked:
        completion_of(topic.entity, topic.finishing, metadata, mapped=True)
