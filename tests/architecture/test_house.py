"""The rules of the house that a linter does not know."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from agent import errors

ROOT = Path(__file__).parents[2]
AGENT = ROOT / "agent"
MODULES = sorted(AGENT.rglob("*.py"))
PURE = ("values", "market", "pricing", "risk", "planning")
PURE_FILES = ("tx/fees.py", "tx/attempt.py", "tx/executor.py")


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def _names(tree: ast.Module) -> set[str]:
    """Every dotted name that is read in a module, as far as it can be seen in the text."""
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}


def _imports(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def _is_pure(path: Path) -> bool:
    relative = path.relative_to(AGENT)
    return (
        relative.parts[0] in PURE
        or str(relative) in PURE_FILES
        or (relative.parts[0] == "venues" and relative.name == "margin.py")
    )


def test_only_config_and_the_process_starters_read_the_environment() -> None:
    # The simulation starts child processes and hands them an environment; it takes no settings from it.
    readers = {
        str(path.relative_to(AGENT))
        for path in MODULES
        if _names(_tree(path)) & {"os.environ", "os.getenv", "environ", "getenv"}
    }
    assert {name for name in readers if not name.startswith(("config", "sim/"))} == set()


def test_pure_floors_have_no_clock_no_randomness_and_no_io() -> None:
    banned = {"time", "random", "socket", "httpx", "requests", "sqlite3", "sqlalchemy", "subprocess", "os"}
    guilty = {
        f"{path.relative_to(AGENT)}: {name}"
        for path in MODULES
        if _is_pure(path)
        for name in _imports(_tree(path))
        if name.split(".")[0] in banned
    }
    assert guilty == set()


def test_no_module_catches_everything() -> None:
    broad = [
        f"{path.relative_to(AGENT)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
        )
    ]
    assert broad == []


def test_no_address_is_written_into_code_but_the_fixed_ones() -> None:
    """Addresses come from deployments; only precompiles and well-known constants may stand in code."""
    guilty = []
    for path in MODULES:
        for node in ast.walk(_tree(path)):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and len(node.value) == 42
                and node.value.startswith("0x")
                and int(node.value, 16) > 0xFFFF
                and not str(path.relative_to(AGENT)).startswith("sim/")
            ):
                guilty.append(f"{path.relative_to(AGENT)}:{node.lineno} {node.value}")
    assert guilty == []


def test_every_public_function_and_class_says_what_it_is() -> None:
    silent = []
    for path in MODULES:
        if path.name == "errors.py":
            continue  # its leaves are described in the tree at its top, which the next test holds to
        for node in _tree(path).body:
            if (
                isinstance(node, ast.FunctionDef | ast.ClassDef)
                and not node.name.startswith("_")
                and ast.get_docstring(node) is None
            ):
                silent.append(f"{path.relative_to(AGENT)}:{node.lineno} {node.name}")
    assert silent == []


def _error_classes() -> list[type[errors.EvenkeelError]]:
    return [
        member
        for _, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, errors.EvenkeelError)
    ]


def test_the_tree_drawn_at_the_top_of_errors_is_the_tree() -> None:
    drawn = errors.__doc__ or ""
    assert [cls.__name__ for cls in _error_classes() if cls.__name__ not in drawn] == []


@pytest.mark.parametrize("cls", [c for c in _error_classes() if c.template], ids=lambda c: c.__name__)
def test_an_error_says_all_its_fields(cls: type[errors.EvenkeelError]) -> None:
    fields = _placeholders(cls.template)
    error = cls(**{name: f"<{name}>" for name in fields})
    assert all(f"<{name}>" in str(error) for name in fields)
    assert cls.fix in str(error)
    assert error.exit_code in {2, 3, 4, 5}


def _placeholders(template: str) -> set[str]:
    import string

    return {name.split("!")[0] for _, name, _, _ in string.Formatter().parse(template) if name}


def test_the_tree_mentions_no_other_place() -> None:
    """The project stands alone: no path of a machine and no private folder is named in it."""
    words = ("../" + "shared", "/" + "work/main", "/" + "root/")
    guilty = [
        str(path.relative_to(ROOT))
        for pattern in ("agent/**/*.py", "tests/**/*.py", "docs/**/*.md", "*.md", "contracts/**/*.sol")
        for path in ROOT.glob(pattern)
        if any(word in path.read_text(errors="replace") for word in words)
    ]
    assert guilty == []
