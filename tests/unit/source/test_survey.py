"""When directories are looked through again, and when what was found in them is still so."""

import os
import time

import pytest

from logship.source.paths import Followed
from logship.source.survey import Survey


@pytest.fixture
def survey():
    """Return one for which whatever happened so far is long ago, on a file system that can be trusted."""
    return Survey(trust=set, now=lambda: time.time_ns() + 10_000_000_000)


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "a.log").touch()
    return (Followed("s", (f"{tmp_path}/*.log",)),)


def names(found):
    return {os.path.basename(match.path) for match in found.matches}


def later(path):
    """Give a directory the time of a change that comes later, however coarse the clock of its file system is."""
    seen = os.stat(path)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1_000_000_000))


def test_nothing_is_looked_through_where_nothing_changed(survey, sources):
    """What was found is returned as it was."""
    found, grown = survey.look(sources, {})
    assert names(found) == {"a.log"}
    again, still = survey.look(sources, {})
    assert again is found
    assert grown == still == set()


def test_a_new_name_is_found(survey, sources, tmp_path):
    """It changes the time of its directory."""
    survey.look(sources, {})
    (tmp_path / "b.log").touch()
    later(tmp_path)
    assert names(survey.look(sources, {})[0]) == {"a.log", "b.log"}


def test_other_sources_are_looked_for(survey, sources, tmp_path):
    """After a reload."""
    survey.look(sources, {})
    other = (Followed("other", (f"{tmp_path}/a.*",)),)
    assert survey.look(other, {})[0].matches[0].source.name == "other"


def test_a_directory_in_the_place_of_another_is_looked_through(survey, sources, tmp_path):
    """Whatever their times are."""
    inner, times = tmp_path / "inner", (1_000_000_000, 1_000_000_000)
    inner.mkdir()
    (inner / "a.log").touch()
    os.utime(inner, ns=times)
    sources = (Followed("s", (f"{inner}/*.log",)),)
    assert names(survey.look(sources, {})[0]) == {"a.log"}
    inner.rename(tmp_path / "outer")
    inner.mkdir()
    (inner / "b.log").touch()
    os.utime(inner, ns=times)
    assert names(survey.look(sources, {})[0]) == {"b.log"}


def test_a_directory_that_has_just_changed_is_looked_through_again(sources, tmp_path):
    """The next change may come within the same tick of the kernel's clock."""
    survey = Survey(trust=set, now=lambda: os.stat(tmp_path).st_ctime_ns + 1_000_000_000)
    found, _ = survey.look(sources, {})
    assert survey.look(sources, {})[0] is not found


def test_a_file_system_that_is_not_trusted_is_looked_through_always(sources):
    """Who knows what its times are good for."""
    survey = Survey(trust=lambda directories: set(), now=lambda: time.time_ns() + 10_000_000_000)
    found, _ = survey.look(sources, {})
    assert survey.look(sources, {})[0] is not found
    assert not survey.trusted


@pytest.mark.parametrize("pattern", ["*/x.log", "**/*.log", "**"])
def test_directories_that_a_glob_names_are_looked_through_always(survey, tmp_path, pattern):
    """One without a match has its changes to itself."""
    (tmp_path / "sub").mkdir()
    sources = (Followed("s", (f"{tmp_path}/{pattern}",)),)
    found, _ = survey.look(sources, {})
    assert survey.look(sources, {})[0] is not found


def test_links_are_looked_at_always(survey, sources, tmp_path):
    """What they mean may change far from here."""
    os.symlink(tmp_path / "a.log", tmp_path / "link.log")
    found, _ = survey.look(sources, {})
    assert survey.look(sources, {})[0] is not found


def test_troubles_are_looked_at_always(survey, sources, tmp_path):
    """They may end where they began, in the file."""
    os.mkfifo(tmp_path / "fifo.log")
    found, _ = survey.look(sources, {})
    assert set(found.troubles) == {f"{tmp_path}/fifo.log"}
    assert survey.look(sources, {})[0] is not found


def test_a_log_with_a_new_sibling_is_told_of_until_it_is_known(survey, sources, tmp_path):
    """The link that leads to it does not matter."""
    log, sibling = tmp_path / "a.log", tmp_path / "a.log.1"
    os.symlink(log, tmp_path / "link")
    assert survey.look(sources, {str(log): ()})[1] == set()
    sibling.touch()
    later(tmp_path)
    for _ in range(2):
        assert survey.look(sources, {str(log): (), str(tmp_path / "link"): ()})[1] == {str(log), f"{tmp_path}/link"}
    seen = sibling.stat()
    assert survey.look(sources, {str(log): {(seen.st_dev, seen.st_ino)}})[1] == set()
