#!/bin/sh
# pika 1.4.4 (PyPI): a floating-point header loses its fraction on the way in, without a word, and cannot be written.
#
# AMQP 0-9-1 field tables have single ("f") and double ("d") numbers, and other clients send them for any number with a
# fraction: Java's Double, .NET's double, JavaScript's 2.75. pika gives the receiver an int, so a price or a ratio in a
# header is wrong by up to one, and a program that copies a message by handing its headers on changes them. Writing a
# float raises UnsupportedAMQPFieldException, so the fraction cannot be restored either.
#
# Seen: read {'double': 2L, 'single': -1L} for {'double': 2.75, 'single': -1.5}; writing: UnsupportedAMQPFieldException
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir pika==1.4.4
"$folder/venv/bin/python" - <<'PYTHON'
import struct
import sys

import pika
from pika.exceptions import UnsupportedAMQPFieldException


def entry(name: str, kind: bytes, layout: str, number: float) -> bytes:
    return bytes([len(name)]) + name.encode() + kind + struct.pack(layout, number)


table = entry("double", b"d", ">d", 2.75) + entry("single", b"f", ">f", -1.5)
has_headers = 1 << 13
section = struct.pack(">HI", has_headers, len(table)) + table
read = pika.BasicProperties().decode(section).headers

try:
    pika.BasicProperties(headers={"double": 2.75}).encode()
    writing = "taken"
except UnsupportedAMQPFieldException as error:
    writing = type(error).__name__

print(f"pika {pika.__version__}: read {read} for {{'double': 2.75, 'single': -1.5}}; writing: {writing}")
expected = ({"double": 2, "single": -1}, "UnsupportedAMQPFieldException")
sys.exit((read, writing) != expected)
PYTHON
