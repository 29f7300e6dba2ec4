"""The house's own rules: imports run one way, and every module has its test file."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# An earlier room may not import from a later one.
ORDER = (
    "browser_pool",
    "gateway.errors",
    "gateway.egress.usage",  # part of a session's record
    "gateway.records",
    "gateway.egress.address",
    "gateway.egress.pattern",  # settings are checked with it
    "gateway.values",
    "gateway.config",
    "gateway.log",
    "gateway.audit",
    "gateway.relay",
    "gateway.egress",
    "gateway.adblock",
    "gateway.store",
    "gateway.identity",
    "gateway.snapshot",
    "gateway.tenancy",
    "gateway.cluster",
    "gateway.session",
    "gateway.pages",
    "gateway.web",
    "gateway.member",
    "gateway.doctor",
    "gateway.recovery",
    "gateway.client",
    "gateway.node",
    "gateway.cli",
)
# Nothing in them to test: nouns without behaviour, protocols, the entry that others' tests go through.
WITHOUT_TEST = {
    "gateway/session/life.py",
    "gateway/session/seat.py",
    "gateway/store/base.py",
    "gateway/web/app.py",
    "browser_pool/errors.py",
    "browser_pool/road.py",
    "browser_pool/spec.py",
}


def modules() -> Iterator[Path]:
    for package in ("browser_pool", "gateway"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name != "__init__.py":
                yield path.relative_to(ROOT)


MODULES = list(modules())


def room(module: str) -> int:
    """The place in ORDER of a dotted module."""
    found = [index for index, name in enumerate(ORDER) if module == name or module.startswith(f"{name}.")]
    assert found, f"{module} belongs to no room of tests/test_architecture.py"
    return found[0]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in ("gateway", "browser_pool"))


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_run_one_way(path: Path) -> None:
    here = room(".".join(path.with_suffix("").parts))
    for name in imported(path):
        if name == "gateway.__version__":
            continue
        assert room(name) <= here, f"{path} imports {name}, which is a later room"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_has_its_test(path: Path) -> None:
    if str(path) in WITHOUT_TEST:
        return
    place = ROOT / "tests" / path.relative_to("gateway" if path.parts[0] == "gateway" else ".").parent
    assert (place / f"test_{path.name}").exists(), f"{place.relative_to(ROOT)}/test_{path.name} is missing"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_is_read_in_one_sitting(path: Path) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= 400, f"{path} has grown too long"
