"""Puts something around a function of the running program. A name that is gone fails at once, at the start."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def before(owner: object, name: str, step: Callable[..., object]) -> None:
    """`step` is called with the arguments of every call, before it."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        step(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(owner, name, wrapper)


def after(owner: object, name: str, step: Callable[..., object]) -> None:
    """`step` is called with the result and the arguments of every call that returns."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        step(result, *args, **kwargs)
        return result

    setattr(owner, name, wrapper)


def instead(owner: object, name: str, replacement: Callable[..., object]) -> None:
    """`replacement` is called with the original and the arguments of every call."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return replacement(original, *args, **kwargs)

    setattr(owner, name, wrapper)
