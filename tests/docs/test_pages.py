"""What a reader copies from a page works: its commands, its configurations, its links."""

import re
from pathlib import Path

import pytest
import yaml

from logship import plan
from logship.settings import loader
from logship.settings.root import Settings
from tests.docs import shown

ROOT = shown.ROOT
PAGES = shown.PAGES
WITH_COMMANDS = [
    path for path in PAGES if shown.commands(path.read_text()) and str(path.relative_to(ROOT)) not in shown.ELSEWHERE
]
FENCE = re.compile(r"^( *)```ya?ml\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
LEAST = {"sources": [{"path": "/var/log/nginx/access.log", "site": "https://example.com"}]}
TOP_LEVEL = set(Settings.__dataclass_fields__)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=name)
def test_commands_print_what_the_page_says(path):
    """Every command, in order, in one directory; `python -m tests.docs.shown --write` puts in what comes."""
    if missing := shown.missing_programs(path.read_text()):
        pytest.skip(f"not installed (Debian: apt-get install {' '.join(missing)})")
    different = [f"{each.command}:\n{printed}" for each, printed in shown.differences(path)]
    assert not different, "\n".join(different)


def test_what_is_left_out_is_there():
    """No row of the tables outlives its command, and what runs a page elsewhere exists."""
    every = [each.command for path in PAGES for each in shown.commands(path.read_text())]
    assert [sign for sign in shown.LEFT_OUT if not any(re.search(sign, command) for command in every)] == []
    assert [page for page in [*shown.ELSEWHERE, *shown.SERVED] if not (ROOT / page).exists()] == []
    named = re.findall(r"tests/\S+\.py|\.ci/\w+", " ".join([*shown.LEFT_OUT.values(), *shown.ELSEWHERE.values()]))
    assert [test for test in named if not (ROOT / test).exists()] == []


def fences() -> list[tuple[str, str]]:
    found = []
    for path in PAGES:
        page = path.read_text()
        for each in FENCE.finditer(page):
            text = re.sub(rf"^{each[1]}", "", each[2], flags=re.MULTILINE)
            found.append((f"{name(path)}:{page.count(chr(10), 0, each.start()) + 1}", text))
    return found


@pytest.mark.parametrize(("where", "text"), fences(), ids=[where for where, _ in fences()])
def test_yaml_is_accepted(where, text, tmp_path):
    """A whole configuration as it stands, a part of one with the least that is missing; all else at least parses."""
    read = yaml.safe_load(text)
    if isinstance(read, list) and all(isinstance(each, dict) and "name" in each for each in read):
        read = {"rules": read}  # a preset spelled out
    if not isinstance(read, dict) or not read.keys() <= TOP_LEVEL:
        return
    spam = tmp_path / "referrer-spam.txt"
    spam.write_text("spam.example\n")
    whole = text if "sources" in read else yaml.safe_dump(LEAST | read, sort_keys=False)
    loaded, problems = loader.read(whole.replace("/etc/logship/referrer-spam.txt", str(spam)), where, {"PWD": "/srv"})
    assert [str(problem) for problem in problems if not problem.warning] == []
    plan.build(loaded)


@pytest.mark.parametrize("path", [*PAGES, *ROOT.glob("tests/*/*.md")], ids=name)
def test_links_lead_somewhere(path):
    """Every link and picture of a page names a file that is there, and a heading that it has."""
    broken = []
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", path.read_text()):
        target, _, heading = link.partition("#")
        there = path.parent / target if target else path
        if not there.exists() or (heading and heading not in anchors(there.read_text())):
            broken.append(link)
    assert broken == []


def test_every_page_is_in_the_index():
    """Nobody has to list a directory to find a page."""
    index = (ROOT / "docs/README.md").read_text()
    pages = [path.relative_to(ROOT / "docs") for path in PAGES if ROOT / "docs" in path.parents]
    assert [str(page) for page in pages if page.name != "README.md" and f"({page})" not in index] == []


def test_pictures_are_small():
    """The README is read on phones, too."""
    pictures = {path.name: path.stat().st_size for path in ROOT.glob("docs/pictures/*.png")}
    assert len(pictures) == 2
    assert max(pictures.values()) < 150_000


def anchors(page: str) -> set[str]:
    """Return what GitHub calls a page's headings: lower case, without punctuation, `-` for blanks."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
