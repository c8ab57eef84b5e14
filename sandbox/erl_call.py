"""The words of Erlang's erl_call: what it is given to evaluate, and how it writes the result.

https://www.erlang.org/doc/apps/erl_interface/erl_call_cmd.html
"""

from __future__ import annotations

import base64
import re

_OK = "{ok, "


def question(expression: str) -> str:
    """The standard input for `erl_call -e`: the expression's value as Erlang writes it, in base64.

    Binaries and other alphabets it would write in a way of its own.
    """
    shown = f'unicode:characters_to_binary(io_lib:format("~tp", [begin {expression} end]))'
    return f"base64:encode_to_string({shown}).\n"


def answer(output: str) -> str | None:
    """The value, as Erlang writes it; None when the output tells an error."""
    told = output.strip()
    return decoded(told.removeprefix(_OK).removesuffix("}")) if told.startswith(_OK) else None


def decoded(written: str) -> str:
    """A text in base64 that Erlang has written: in quotes, over several lines, or as the list of its characters."""
    if written.startswith("["):
        characters = bytes(int(code) for code in written.strip("[]").split(",")).decode()
    else:
        characters = "".join(re.findall(r"[\w+/=]+", written))
    return base64.b64decode(characters).decode()
