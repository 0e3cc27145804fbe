"""What `${NAME}` in a configuration stands for: a variable, or a file that holds its value.

The file is the one that `NAME_FILE` names, as is usual for container secrets, or `$CREDENTIALS_DIRECTORY/NAME`, as with
systemd's LoadCredential= (https://systemd.io/CREDENTIALS). Unlike a variable it can be changed while we run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_LARGEST = 64 * 1024  # bytes of a value


class Variables(Mapping[str, str]):
    """The environment of this process, and what files add to it. A file is read each time it is asked for.

    ``asked``: the variable of each file that was looked for so far, found or not.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self.asked: dict[Path, str] = {}

    def __getitem__(self, name: str) -> str:
        if name in self._environment:
            return self._environment[name]
        for path in self._files(name):
            self.asked[path] = name
            try:
                with path.open("rb") as file:
                    return file.read(_LARGEST).decode().removesuffix("\n")
            except (OSError, ValueError):
                continue
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._environment)

    def __len__(self) -> int:
        return len(self._environment)

    def _files(self, name: str) -> Iterator[Path]:
        if named := self._environment.get(f"{name}_FILE"):
            yield Path(named)
        if directory := self._environment.get("CREDENTIALS_DIRECTORY"):
            yield Path(directory, name)
