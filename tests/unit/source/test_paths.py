"""Globs, excludes, and what rotation calls a file."""

import pytest

from logship.source import paths
from logship.source.paths import Followed


@pytest.mark.parametrize(
    ("name", "live"),
    [
        ("access.log.1", "access.log"),
        ("access.log.12.gz", "access.log"),
        ("access.log-20251010", "access.log"),
        ("access.log-20251010.xz", "access.log"),
        ("access.log-20251010-1760054400", "access.log"),
        ("access.log.2025-10-10.bz2", "access.log"),
        ("access.log.old", "access.log"),
        ("access.1.log", "access.log"),
        ("access-20251010.log.gz", "access.log"),
        ("access.2025-10-10.log", "access.log"),
        ("access.1", "access"),
        ("shop2.log.1", "shop2.log"),
    ],
)
def test_rotated_names(name, live):
    """Numbers and dates, after the name or before its extension, compressed or not; and back to the log's name."""
    assert paths.is_rotated(name, live)
    assert live in list(paths.origins(name))


@pytest.mark.parametrize(
    "name",
    ["access.log", "access.log.shop", "access.logs", "shop-access.log", "access-1.log", "access2.log", "error.log.1"],
)
def test_names_of_other_logs(name):
    """A name that is merely alike is another log."""
    assert not paths.is_rotated(name, "access.log")


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/l/*.log", "/l/a.log", True),
        ("/l/*.log", "/l/a/b.log", False),
        ("/l/**/*.log", "/l/a.log", True),
        ("/l/**/*.log", "/l/a/b/c.log", True),
        ("/l/a?.log", "/l/ab.log", True),
        ("/l/[ab].log", "/l/b.log", True),
        ("/l/[!ab].log", "/l/b.log", False),
        ("/l/a.log", "/l/a.log", True),
        ("/l/a.log", "/l/axlog", False),
    ],
)
def test_owns(pattern, path, expected):
    """A source's patterns are judged as `glob` judges them, also for files that are not there."""
    assert paths.owns(Followed("s", (pattern,)), path) is expected


def test_exclude_by_name_or_by_path():
    """Without a slash a pattern means the name, with one the whole path."""
    source = Followed("s", ("/l/**/*",), ("*.gz", "/l/old/**"))
    assert paths.owns(source, "/l/a.log")
    assert not paths.owns(source, "/l/a.log.gz")
    assert not paths.owns(source, "/l/old/a.log")


def test_directories_to_watch(tmp_path):
    """Where matches lie, where links point to, and the nearest directory that is there for what is missing."""
    (tmp_path / "pods").mkdir()
    (tmp_path / "pods" / "0.log").touch()
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "a.log").symlink_to(tmp_path / "pods" / "0.log")
    found = paths.find([Followed("s", (f"{tmp_path}/web/*.log", f"{tmp_path}/none/yet/x.log"))])
    assert found.directories == {str(tmp_path), f"{tmp_path}/web", f"{tmp_path}/pods"}
