"""`${NAME}` may stand for a variable or for a file: systemd's credentials, a container's secrets."""

import pytest

from logship.environment import Variables
from logship.settings import loader

CONFIG = """
sources: [{path: /a.log, site: "https://example.com"}]
destinations: {plausible: {headers: {Authorization: "Bearer ${TOKEN}"}}}
"""


def token(environment):
    loaded, problems = loader.read(CONFIG, "logship.yaml", Variables(environment))
    return loaded.destinations[0].headers.get("Authorization"), [str(each) for each in problems if not each.warning]


@pytest.mark.parametrize(
    "environment",
    [
        {"TOKEN": "sesame"},
        {"TOKEN_FILE": "{directory}/secret"},
        {"CREDENTIALS_DIRECTORY": "{directory}"},
        {"TOKEN": "sesame", "TOKEN_FILE": "{directory}/other"},
        {"TOKEN_FILE": "{directory}/missing", "CREDENTIALS_DIRECTORY": "{directory}"},
    ],
)
def test_a_value_is_found_wherever_it_is_kept(tmp_path, environment):
    """In a variable first; then in the file that is named, then among systemd's credentials; without its line end."""
    for name in ("secret", "TOKEN"):
        (tmp_path / name).write_text("sesame\n")
    (tmp_path / "other").write_text("wrong")
    found, problems = token({name: value.format(directory=tmp_path) for name, value in environment.items()})
    assert (found, problems) == ("Bearer sesame", [])
    assert "sesame" not in repr(found)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_a_variable_that_is_not_set(tmp_path, content):
    """The problem names the variable, and where it is wanted."""
    if content:
        (tmp_path / "TOKEN").write_bytes(content)
    found, [problem] = token({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert found is None
    assert "the environment variable TOKEN is not set" in problem


def test_a_changed_file_is_read_anew(tmp_path):
    """So a reload takes a new credential over."""
    variables = Variables({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    for value in ("one", "two"):
        (tmp_path / "TOKEN").write_text(value)
        assert variables["TOKEN"] == value
    assert dict(Variables({"A": "1"})) == {"A": "1"}
