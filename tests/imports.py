"""Walk the project's own imports."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("ganlib", "stages")


def imported_modules(path: Path) -> set[str]:
    """Return the dotted names of what a file imports of the project, wherever in the file the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in PACKAGES}


def file_of(module: str) -> Path | None:
    base = ROOT / module.replace(".", "/")
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def reached_files(path: Path) -> set[str]:
    """Return every file of the project that a script reaches, itself included: modules and the templates beside them.

    Empty `__init__.py` files cannot change a result and are left out.
    """
    reached: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current in reached:
            continue
        reached.add(current)
        files = (file_of(name) for name in imported_modules(current))
        waiting += [file for file in files if file]
        reached |= set(current.parent.glob("*.jinja"))
    return {str(file.relative_to(ROOT)) for file in reached if file.stat().st_size}
