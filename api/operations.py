"""What the OpenAPI document says of an address: its methods, and the parameters of their queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.routing import compile_path


class Operations:
    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def methods_at(self, path: str) -> set[str]:
        """Return the methods of an address, e.g. {"PUT", "DELETE"}."""
        return {method.upper() for method in next(self._at(path), {})}

    def query_names(self, path: str, method: str) -> set[str]:
        """Return which parameters a query may have."""
        operation: Mapping[str, Any] = next(
            (each[method.lower()] for each in self._at(path) if method.lower() in each), {}
        )
        return {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}

    def places(self) -> Iterator[tuple[str, str]]:
        """Yield the method and the template of each operation, e.g. ("GET", "/api/v1/messages/{id}")."""
        for _, template, methods in self._paths:
            yield from ((method.upper(), template) for method in methods)

    def place_of(self, method: str, path: str) -> tuple[str, str] | None:
        """Return the method and the template of the operation at an address; None where there is none."""
        for pattern, template, methods in self._paths:
            if pattern.match(path) and method.lower() in methods:
                return method, template
        return None

    @cached_property
    def _paths(self) -> list[tuple[Any, str, Mapping[str, Any]]]:
        paths: Mapping[str, Mapping[str, Any]] = self._app.openapi()["paths"]
        written_out_first = sorted(paths.items(), key=lambda each: each[0].count("{"))
        return [(compile_path(path)[0], path, methods) for path, methods in written_out_first]

    def _at(self, path: str) -> Iterator[Mapping[str, Any]]:
        return (methods for pattern, _, methods in self._paths if pattern.match(path))


def refuse_unknown(operations: Operations) -> Any:
    """Return a dependency that refuses what a query says and nobody reads. Raises RequestValidationError."""

    async def refuse(request: Request) -> None:
        known = operations.query_names(request.url.path, request.method)
        unknown = sorted(request.query_params.keys() - known)
        if unknown:
            text = "there is no such parameter"
            raise RequestValidationError([{"loc": ("query", name), "msg": text} for name in unknown])

    return Depends(refuse)
