"""Puts something around a function of the running program.

A name that is gone, or a function that has got other parameters, fails at once: AttributeError, TypeError.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def before(owner: object, name: str, step: Callable[..., object]) -> None:
    """`step` is called with the arguments of every call, before it."""
    original = getattr(owner, name)
    _check(step, original)

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        step(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(owner, name, wrapper)


def after(owner: object, name: str, step: Callable[..., object]) -> None:
    """`step` is called with the result and the arguments of every call that returns."""
    original = getattr(owner, name)
    _check(step, original, "its result")

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        step(result, *args, **kwargs)
        return result

    setattr(owner, name, wrapper)


def instead(owner: object, name: str, replacement: Callable[..., object]) -> None:
    """`replacement` is called with the original and the arguments of every call."""
    original = getattr(owner, name)
    _check(replacement, original, "the original")

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return replacement(original, *args, **kwargs)

    setattr(owner, name, wrapper)


def _check(step: Callable[..., object], original: Callable[..., object], *before_them: object) -> None:
    """Raises TypeError unless `step` can be called as `original` is, with `before_them` in front."""
    positional: list[object] = list(before_them)
    named: dict[str, object] = {}
    for parameter in inspect.signature(original).parameters.values():
        if parameter.default is parameter.empty:
            if parameter.kind is parameter.KEYWORD_ONLY:
                named[parameter.name] = None
            elif parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                positional.append(None)
    inspect.signature(step).bind(*positional, **named)
