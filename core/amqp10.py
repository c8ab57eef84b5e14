"""Reads bodies that an AMQP 1.0 client has sent as a value rather than as data.

RabbitMQ hands such a body to an AMQP 0-9-1 consumer as it was encoded, with the property `type` = `amqp-1.0` (measured
on 4.0.5 and 4.3.6 with rhea 3.0; deps/rabbit/src/mc_amqpl.erl). Data sections arrive as plain bytes.
Encoding: OASIS AMQP 1.0, part 1 section 1.6 and part 3 section 3.2.
"""

from __future__ import annotations

_VALUE_SECTIONS = (b"\x00\x53\x77", b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x77")
_SEQUENCE_SECTIONS = (b"\x00\x53\x76", b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x76")
_SHORT_TEXTS = b"\xa0\xa1\xa3"  # binary, string, symbol with a length of one octet
_LONG_TEXTS = b"\xb0\xb1\xb3"  # with four


class NoTextError(Exception):
    """The body is an AMQP 1.0 value that holds no text: a map, a list, a number, a sequence."""


def text_of(body: bytes) -> bytes:
    """Return the text or binary in an AMQP 1.0 value; any other body as it is. JSON never begins with a zero octet.

    Raises NoTextError.
    """
    if not body.startswith(b"\x00"):
        return body
    for section in _VALUE_SECTIONS:
        if body.startswith(section):
            return _text(body[len(section) :])
    if body.startswith(_SEQUENCE_SECTIONS):
        raise NoTextError
    return body


def _text(value: bytes) -> bytes:
    width = 1 if value[:1] in _SHORT_TEXTS else 4
    if not value or value[0] not in _SHORT_TEXTS + _LONG_TEXTS:
        raise NoTextError
    text = value[1 + width :]
    if len(text) != int.from_bytes(value[1 : 1 + width]):
        raise NoTextError
    return text
