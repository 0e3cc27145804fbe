"""The files that a configuration is made of: which they are, and which of them were edited."""

import os

import pytest

from logship.environment import Variables
from logship.settings.edition import Edition

CONFIG = """
referrer_spam: {place}/spam.txt
destinations:
  own: {{url: "https://plausible.example.com", tls: {{ca_file: {place}/ca.pem}}, headers: {{X-Token: "${{TOKEN}}"}}}}
sources: [{{path: {place}/access.log, site: "https://example.com"}}]
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A configuration that names a list, an authority, and a variable whose value is in a file."""
    (tmp_path / "logship.yaml").write_text(CONFIG.format(place=tmp_path))
    for name in ("spam.txt", "ca.pem", "token"):
        (tmp_path / name).write_text("first")
    monkeypatch.setenv("TOKEN_FILE", str(tmp_path / "token"))
    return tmp_path


@pytest.fixture
def edition(place):
    return Edition(place / "logship.yaml")


def test_every_file_that_is_named_belongs_to_it(edition, place):
    """The list, the authority and the secret are looked at as the configuration itself is."""
    assert {path.name for path in edition.look()} == {"logship.yaml", "spam.txt", "ca.pem", "token"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("spam.txt", "referrer_spam: {place}/spam.txt was edited"),
        ("ca.pem", "destination own: tls.ca_file: {place}/ca.pem was edited"),
        ("token", "${{TOKEN}}: {place}/token was edited"),
    ],
)
def test_an_edited_file_is_told_by_who_names_it(edition, place, name, told):
    """One sentence, and none for the files that are as they were."""
    before = edition.look()
    (place / name).write_text("other")
    after = edition.look(before)
    assert after != before
    assert edition.edits(before, after) == [told.format(place=place)]


def test_the_same_content_again_is_no_edit(edition, place):
    """A file that was touched, or replaced by its like, asks for nothing."""
    before = edition.look()
    os.utime(place / "spam.txt", (1, 1))
    (place / "new").write_text("first")
    (place / "new").replace(place / "ca.pem")
    assert edition.look(before) == before


@pytest.mark.parametrize("name", ["logship.yaml", "spam.txt"])
def test_a_file_that_is_away_for_a_moment_is_no_edit(edition, place, name):
    """Editors take a file away before they put the new one there."""
    before = edition.look()
    (place / name).rename(place / "away")
    assert edition.look(before) == before
    (place / "away").rename(place / name)
    assert edition.look(before) == before


def test_a_file_that_was_missing_is_noticed_when_it_comes(edition, place):
    """A configuration that was refused for want of it deserves another attempt."""
    (place / "spam.txt").unlink()
    before = edition.look()
    assert place / "spam.txt" not in before
    (place / "spam.txt").write_text("at last")
    assert place / "spam.txt" in edition.look(before)


def test_what_a_new_text_names_is_looked_at(edition, place):
    """Another list in the file: its edits count from now on, and those of the old one no more."""
    before = edition.look()
    config = place / "logship.yaml"
    config.write_text(config.read_text().replace("spam.txt", "other.txt"))
    (place / "other.txt").write_text("first")
    after = edition.look(before)
    (place / "spam.txt").write_text("nobody cares")
    assert edition.look(after) == after
    (place / "other.txt").write_text("second")
    assert edition.edits(after, edition.look(after)) == [f"referrer_spam: {place}/other.txt was edited"]


def test_a_pipe_and_a_broken_configuration_stop_nobody(edition, place):
    """Neither is opened for ever, nor is it an error here: who loads the configuration says what is wrong."""
    (place / "ca.pem").unlink()
    os.mkfifo(place / "ca.pem")
    (place / "logship.yaml").write_text("referrer_spam: [")
    assert {path.name for path in edition.look()} == {"logship.yaml"}


def test_variables_remember_which_files_they_asked():
    """A value from the environment asks no file; one that is nowhere has asked the file that is not there."""
    variables = Variables({"A": "1", "B_FILE": "/nowhere/b"})
    assert variables["A"] == "1"
    assert "B" not in variables
    assert {str(path): name for path, name in variables.asked.items()} == {"/nowhere/b": "B"}
