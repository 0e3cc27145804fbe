"""A web server's configuration on disk, and what `init` makes of it: read back by the settings and compiled."""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from logship import plan
from logship.cli import init
from logship.settings import loader
from logship.settings.root import Settings
from logship.settings.source import SourceSettings

DATE = datetime.date(2026, 11, 22)


@dataclass(frozen=True)
class Written:
    """A configuration that was written, accepted by settings and plan."""

    text: str
    settings: Settings

    @property
    def one(self) -> SourceSettings:
        assert len(self.settings.sources) == 1, self.text
        return self.settings.sources[0]

    def source(self, ending: str) -> SourceSettings:
        """Return the active source whose path has this ending."""
        found = [each for each in self.settings.sources if any(path.endswith(ending) for path in each.path)]
        assert len(found) == 1, f"{ending}: {len(found)} of it in\n{self.text}"
        return found[0]

    @property
    def paths(self) -> list[str]:
        return [path for source in self.settings.sources for path in source.path]

    @property
    def prose(self) -> str:
        """The comments as one line, so that wrapping does not matter."""
        lines = (line.strip().lstrip("#").strip() for line in self.text.splitlines() if line.strip().startswith("#"))
        return " ".join(lines)

    @property
    def uncommented(self) -> str:
        """The lines of a source that waits under comment."""
        return "\n".join(line.strip().removeprefix("#").strip() for line in self.text.splitlines())


def accepted(text: str) -> Written:
    read, problems = loader.read(text, "logship.yaml", {})
    assert not [str(problem) for problem in problems if not problem.warning], text
    plan.build(read)
    schema = text.partition("\n")[0].removeprefix("# yaml-language-server: $schema=")
    assert Path(schema).is_file()
    return Written(text, read)


Lay = Callable[[dict[str, str]], Path]


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    """Write files under tmp_path; ROOT in their text becomes its path."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).replace("ROOT", str(tmp_path)))
        return tmp_path

    return write


@pytest.fixture
def nginx(lay: Lay) -> Callable[..., Written]:
    """Take what stands in nginx's http block, and further files; return what is written."""

    def written(http: str, more: dict[str, str] | None = None, main: str = "") -> Written:
        root = lay({"nginx.conf": f"{main}\nevents {{}}\nhttp {{\n{textwrap.dedent(http)}\n}}\n", **(more or {})})
        return accepted(init.compose(str(root / "nginx.conf"), None, DATE))

    return written


@pytest.fixture
def apache(lay: Lay) -> Callable[..., Written]:
    """Take Apache's main file, and further files; return what is written."""

    def written(conf: str, more: dict[str, str] | None = None) -> Written:
        root = lay({"apache2.conf": conf, **(more or {})})
        return accepted(init.compose(None, str(root / "apache2.conf"), DATE))

    return written


@pytest.fixture
def compose() -> Callable[..., Written]:
    """Take paths of main files; return what is written."""

    def written(nginx: Path | None = None, apache: Path | None = None) -> Written:
        return accepted(init.compose(nginx and str(nginx), apache and str(apache), DATE))

    return written
