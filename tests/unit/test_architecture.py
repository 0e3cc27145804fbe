"""The plan of the house, kept true: an import goes down a floor, stages are strangers, the pure stay pure."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "logship").rglob("*.py")}

# The longest prefix of a module's name gives its floor. An import goes to a lower number; a room whose modules have
# floors of their own may also look across (`parser.nginx` to `parser.escapes`), as long as no circle comes of it.
FLOORS = {
    "logship": 0,  # logship/__init__.py: the version
    "logship.records": 0,
    "logship.errors": 0,
    "logship.memo": 0,
    "logship.steps": 0,
    "logship.lean": 0,
    "logship.linear": 0,
    "logship.metrics": 0,
    "logship.environment": 0,
    "logship.language": 0,
    "logship.settings": 1,
    "logship.traffic": 1,
    "logship.schema": 2,
    "logship.compressed": 1,
    "logship.durable": 1,
    "logship.logs": 1,
    "logship.servicemanager": 1,
    "logship.source": 2,
    "logship.source.file": 3,
    "logship.source.watch": 3,
    "logship.source.census": 3,
    "logship.source.quest": 3,
    "logship.source.trail": 4,
    "logship.source.openfiles": 4,
    "logship.source.search": 4,
    "logship.source.register": 4,
    "logship.source.report": 4,
    "logship.source.tailer": 4,
    "logship.parser": 2,
    "logship.parser.detect": 3,
    "logship.parser.record": 3,
    "logship.router": 2,
    "logship.router.table": 3,
    "logship.router.scrutiny": 3,
    "logship.dispatcher": 2,
    "logship.dispatcher.lane": 3,
    "logship.dispatcher.graveyard": 4,
    "logship.dispatcher.destination": 4,
    "logship.progress": 2,
    "logship.progress.checkpoint": 3,
    "logship.deadletter": 3,
    "logship.sieve": 4,
    "logship.plan": 5,
    "logship.backlog": 5,
    "logship.account": 5,
    "logship.saving": 5,
    "logship.admin": 1,
    "logship.admin.decisions": 4,
    "logship.admin.tap": 5,
    "logship.admin.server": 6,
    "logship.pipeline": 6,
    "logship.configuration": 6,
    "logship.explain": 6,
    "logship.checks": 6,
    "logship.upkeep": 6,
    "logship.daemon": 7,
    "logship.demo": 8,
    "logship.cli": 9,
    "logship.__main__": 10,
}
STAGES = ("source", "parser", "router", "dispatcher")
APART = {"logship.receiver": {"logship.records", "logship.errors"}, "logship.discover": {"logship.errors"}}
PURE = {
    *(
        "logship.records",
        "logship.errors",
        "logship.memo",
        "logship.source.lines",
        "logship.sieve",
        "logship.router.table",
    ),
    *("logship.dispatcher.retry", "logship.dispatcher.request", "logship.progress.ledger"),
    *("logship.progress.fingerprint", "logship.parser", "logship.router", "logship.settings.differences"),
    *(f"logship.admin.{name}" for name in ("alarms", "decisions", "drawing", "figures", "page", "rates")),
}
IMPURE = {
    *("asyncio", "aiohttp", "uvloop", "socket", "ssl", "selectors", "threading", "subprocess", "watchdog"),
    *("time", "logging", "structlog", "os", "io", "shutil", "tempfile", "sqlite3", "random", "click", "rich"),
}
NO_IO = {"io.BytesIO", *(f"socket.{name}" for name in ("AF_INET", "AF_INET6", "inet_pton", "inet_ntop"))}
VAGUE = {"utils", "util", "helpers", "helper", "base", "manager", "common", "misc"}


def imports(path: Path) -> Iterator[str]:
    """Yield what a file imports, anywhere in it: our modules by name, of strangers the imported name as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            foreign = (node.module or "").split(".")[0] != "logship"
            known = (foreign or name in MODULES or package(name) in MODULES for name in names)
            yield from (name if is_known else node.module or "" for name, is_known in zip(names, known, strict=True))


def package(name: str) -> str:
    return f"{name}.__init__"


def longest_prefix(name: str, table: dict[str, int] | dict[str, set[str]] | set[str]) -> str | None:
    parts = name.split(".")
    return next((p for i in range(len(parts), 0, -1) if (p := ".".join(parts[:i])) in table), None)


def room(name: str) -> str:
    return name.split(".")[1] if name.count(".") else ""


OURS = sorted(
    (name.removesuffix(".__init__"), target)
    for name, path in MODULES.items()
    for target in set(imports(path))
    if target.split(".")[0] == "logship"
)


def test_imports_go_down_a_floor() -> None:
    """A module knows the floors below it, and in its own room perhaps a neighbour on the same floor."""
    wrong = [
        f"{name} ({floor}) imports {target} ({below})"
        for name, target in OURS
        if not longest_prefix(name, APART) and not longest_prefix(target, APART)
        for floor, below in [(FLOORS[longest_prefix(name, FLOORS) or ""], FLOORS[longest_prefix(target, FLOORS) or ""])]
        if below > floor or (below == floor and room(name) != room(target) and floor > 0)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_module_has_a_floor() -> None:
    """A new module at the top finds its place in the table above; in a room it may stand on the room's floor."""
    rooms = {room(name) for name in MODULES if room(name) != "__init__"}
    assert not [name for name in rooms if f"logship.{name}" not in FLOORS | APART]


def test_the_four_stages_never_import_each_other() -> None:
    """Source, parser, router and dispatcher meet in the sieve and the pipeline only."""
    wrong = [
        f"{name} imports {target}"
        for name, target in OURS
        if room(name) in STAGES and room(target) in STAGES and room(name) != room(target)
    ]
    assert not wrong, "\n".join(wrong)


def test_receiver_and_discover_stand_apart() -> None:
    """They share next to nothing with the daemon, and only the command line, the demo and `explain` know them."""
    wrong = []
    for name, target in OURS:
        home, there = longest_prefix(name, APART), longest_prefix(target, APART)
        if home and target not in {"logship", *APART[home]} and there != home:
            wrong.append(f"{name} imports {target}")
        if there and home != there and room(name) not in {"cli", "demo", "explain"}:
            wrong.append(f"{name} imports {target}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", sorted(name for name in MODULES if longest_prefix(name, PURE)))
def test_pure_modules_do_no_io(name: str) -> None:
    """No I/O, no await, no clock, no logging, no chance: a pure module's answer follows from its arguments."""
    tree = ast.parse(MODULES[name].read_text())
    assert not [t for t in imports(MODULES[name]) if longest_prefix(t, IMPURE) and t not in NO_IO]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith)]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "open"]


def test_imports_name_modules_and_packages_hold_only_a_docstring() -> None:
    """`import logship.parser` says nothing; `from logship.parser import formats` says where to look."""
    wrong = [f"{name} imports the package {target}" for name, target in OURS if target != "logship" and target in ROOMS]
    assert not wrong, "\n".join(wrong)
    for name in ROOMS:
        body = ast.parse(MODULES[package(name)].read_text()).body
        assert all(isinstance(node, ast.Expr) for node in body), f"{name}/__init__.py holds more than a docstring"


ROOMS = {name.removesuffix(".__init__") for name in MODULES if name.endswith(".__init__")} - {"logship"}


def test_no_circles() -> None:
    """What imports may look across a room, so a circle must be looked for."""
    graph = {name: {t for n, t in OURS if n == name} for name, _ in OURS}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for target in graph.get(name, ()):
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_names_say_what_is_inside() -> None:
    """No module is called after the fact that it has no subject."""
    assert not [name for name in MODULES if name.split(".")[-1] in VAGUE]


def test_every_module_opens_with_its_promise() -> None:
    """The first thing in a file is a docstring."""
    assert not [name for name, path in MODULES.items() if not ast.get_docstring(ast.parse(path.read_text()))]
