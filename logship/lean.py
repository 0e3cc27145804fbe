"""Import only those parts of large libraries that a daemon uses: it starts faster, and needs less memory.

To import `aiohttp.connector`, Python runs aiohttp's `__init__`, which imports a client with sessions, cookies, forms
and tracing: 2.4 MB and 50 ms that a daemon never uses. A package that is left closed has not run yet. Its modules can
be imported as usual, and as soon as somebody asks the package itself for a name, it runs and is complete.

Nothing depends on this: importing in the ordinary way, before or after, only costs more.
"""

from __future__ import annotations

import re
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)


def leave_closed(*packages: str) -> None:
    """Leave packages closed that are not imported yet. Call this before anything imports them."""
    for name in packages:
        spec = PathFinder.find_spec(name) if name not in sys.modules else None
        if spec is not None and spec.origin is not None and spec.submodule_search_locations:
            sys.modules[name] = _Closed(spec, spec.origin)


def import_connector() -> None:
    """Import aiohttp's connector, without reading the system's certificates twice and without zstd.

    It would make two TLS contexts that we never use: `dispatcher.wire` has its own.
    """
    with _certificates_unread(), hidden("backports.zstd"):
        import_module("aiohttp.connector")


@contextmanager
def hidden(module: str) -> Iterator[None]:
    """Hide a module that libraries import if it is installed, unless it is imported already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


@contextmanager
def _certificates_unread() -> Iterator[None]:
    contexts: Any = ssl.SSLContext
    contexts.set_default_verify_paths = lambda self: None  # hides that of the class it is derived from
    try:
        yield
    finally:
        del contexts.set_default_verify_paths


class _Closed(ModuleType):
    """A package that has not run: it knows where its modules are, and its version, which they ask for."""

    def __init__(self, spec: ModuleSpec, origin: str) -> None:
        super().__init__(spec.name)
        self.__spec__, self.__loader__, self.__package__, self.__file__ = spec, spec.loader, spec.name, origin
        self.__path__ = spec.submodule_search_locations or []
        if version := _VERSION.search(Path(origin).read_text("utf-8")):
            self.__version__ = version[1]

    def __getattr__(self, name: str) -> Any:
        """Run the package and return its attribute. Finding its modules is left to the import system."""
        if name.startswith("__") or PathFinder.find_spec(f"{self.__name__}.{name}", self.__path__) is not None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)
