"""Which directories tell of every change."""

import os

import pytest

from logship.source import mounts


@pytest.fixture
def mounted(tmp_path):
    """Write what the kernel says of its mounts: a file system for each directory."""

    def write(**kinds):
        lines = [
            f"{20 + n} 1 8:{n} / {str(tmp_path / name).rstrip('_').replace(' ', chr(92) + '040')} rw,noatime shared:1"
            f" - {kind} /dev/x rw\n"
            for n, (name, kind) in enumerate(kinds.items())
        ]
        table = tmp_path / "mountinfo"
        table.write_text("".join(["19 1 8:0 / / rw - ext4 /dev/root rw\n", "a line of another sort\n", *lines]))
        return str(table)

    return write


def test_local_file_systems_are_trusted(tmp_path, mounted):
    """The nearest mount point counts, and the last one mounted there."""
    for name in ("local", "remote", "remote/local"):
        (tmp_path / name).mkdir()
    table = mounted(local="xfs", remote="nfs4", **{"remote/local": "fuse.sshfs", "remote/local_": "tmpfs"})
    wanted = {str(tmp_path), f"{tmp_path}/local", f"{tmp_path}/remote", f"{tmp_path}/remote/local"}
    assert mounts.trusted(wanted, table) == wanted - {f"{tmp_path}/remote"}


def test_a_mount_point_may_have_a_space_in_its_name(tmp_path, mounted):
    """The kernel writes it as an octal escape."""
    (tmp_path / "my logs").mkdir()
    table = mounted(**{"my logs": "cifs"})
    assert mounts.trusted([f"{tmp_path}/my logs"], table) == set()


def test_a_directory_behind_a_link_is_not_trusted(tmp_path, mounted):
    """The link may be swapped in a directory that nobody watches."""
    (tmp_path / "real").mkdir()
    os.symlink(tmp_path / "real", tmp_path / "link")
    assert mounts.trusted([f"{tmp_path}/real", f"{tmp_path}/link"], mounted()) == {f"{tmp_path}/real"}


def test_nothing_is_trusted_where_nobody_knows_what_is_mounted(tmp_path):
    """Without /proc, say."""
    assert mounts.trusted([str(tmp_path)], f"{tmp_path}/none") == set()


def test_a_line_that_is_no_mount_is_skipped(tmp_path):
    """Whatever a kernel may write one day."""
    (tmp_path / "mountinfo").write_text("junk\n\n1 2 3\n1 2 3 4 5 - \n")
    assert mounts.mounted(f"{tmp_path}/mountinfo") == {}
