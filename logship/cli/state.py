"""What commands on the state directory share: where it is, and who owns its files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from logship.environment import Variables
from logship.errors import ConfigError
from logship.settings import loader


def directory(config: Path) -> Path:
    """Return the state directory. Faults elsewhere in the file do not matter; else raise ConfigError."""
    found, problems = loader.read_file(config, Variables())
    faults = [each for each in problems if not each.warning and each.where in ("", "state_dir")]
    if faults:
        raise ConfigError(faults)
    return found.state_dir


@contextlib.contextmanager
def changed_as_owner(state_dir: Path) -> Iterator[None]:
    """Leave no file of root's in a state directory of another user: the daemon could not use it.

    With systemd's DynamicUser= there is no user to become while the service is stopped, so root runs these commands.
    """
    try:
        yield
    finally:
        if not os.geteuid() and state_dir.is_dir():
            _hand_over(state_dir)


def _hand_over(state_dir: Path) -> None:
    owner = state_dir.stat()
    with os.scandir(state_dir) as entries:
        for entry in entries:
            found = entry.stat(follow_symlinks=False)
            if entry.is_file(follow_symlinks=False) and found.st_uid == 0 != owner.st_uid and found.st_nlink == 1:
                os.chown(entry.path, owner.st_uid, owner.st_gid, follow_symlinks=False)
