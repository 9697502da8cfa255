"""What is said twice is said alike: README and parser, exports, make targets, links, CI's files."""

import ast
import importlib
import json
import pkgutil
import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from check_jsonschema.cli.main_command import main as check_jsonschema
from click.testing import CliRunner
from jsonschema import Draft202012Validator

import flows
import tasks
from flows import cli
from flows.summary import SCHEMA, Summary
from tasks.errors import FailureKind

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for pattern in ("*.md", ".github/*.md", "*/*.md", "demo/model/*.md")
    for page in ROOT.glob(pattern)
    if ".venv" not in page.parts
)
PACKAGES = [
    name
    for package in (flows, tasks)
    for _, name, is_package in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if is_package
]
SCHEMAS = {
    "workflows/*.yml": "github-workflows",
    "dependabot.yml": "dependabot",
    "ISSUE_TEMPLATE/[0-9]*.yml": "github-issue-forms",
    "ISSUE_TEMPLATE/config.yml": "github-issue-config",
}


def test_readme_lists_the_options_of_the_parser() -> None:
    options = {name for action in cli._parser()._actions for name in action.option_strings}
    options -= {"-h", "--help"}
    readme = (ROOT / "README.md").read_text()
    assert options <= set(re.findall(r"--[a-z-]+", readme))
    rows = re.findall(r"^(?:  |\| `)(--[a-z-]+)", readme, re.MULTILINE)
    assert set(rows) <= options


def test_readme_lists_the_kinds_of_failure() -> None:
    readme = (ROOT / "README.md").read_text()
    table = "".join(re.findall(r"^\| `[a-z`, -]+ \|.*$", readme, re.MULTILINE))
    assert set(re.findall(r"`([a-z-]+)`", table)) == {str(kind) for kind in FailureKind}


def test_schema_of_json_tells_the_fields_of_a_run() -> None:
    schema = json.loads((ROOT / "flows" / "summary.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == {"state", "message"} | set(Summary().as_dict())
    assert schema["required"] == list(schema["properties"])
    assert schema["properties"]["schema"] == {
        "const": SCHEMA,
        "description": "The version of this schema.",
    }
    example = json.loads((ROOT / "README.md").read_text().split("```json\n")[1].split("```")[0])
    fields = {name: schema["properties"][name] for name in example}
    Draft202012Validator({**schema, "required": [], "properties": fields}).validate(example)


@pytest.mark.parametrize("name", PACKAGES)
def test_exported_names_are_there(name: str) -> None:
    package = importlib.import_module(name)
    imported = {
        alias.asname or alias.name
        for node in ast.parse(Path(str(package.__file__)).read_text()).body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{name}.")
        for alias in node.names
    }
    exported = set(getattr(package, "__all__", imported))
    assert imported <= exported <= set(vars(package))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_what_exists(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z][a-z -]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    targets = {target for line in targets for target in line.split()}
    assert set(re.findall(r"^(?:\$ )?make ([a-z-]+)", text, re.MULTILINE)) <= targets
    assert set(re.findall(r"`make ([a-z-]+)`", text)) <= targets
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(("pattern", "schema"), SCHEMAS.items())
def test_files_of_github_are_valid(pattern: str, schema: str) -> None:
    files = [str(path) for path in (ROOT / ".github").glob(pattern)]
    assert files
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", f"vendor.{schema}", *files])
    assert done.exit_code == 0, done.output


def test_hooks_run_what_make_check_runs() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    makefile = (ROOT / "Makefile").read_text()
    commands = set(re.findall(r"entry: \S*?bin/(ruff check|ruff format|mypy)", hooks))
    assert commands == {"ruff check", "ruff format", "mypy"}
    assert all(f"$(BIN)/{command}" in makefile for command in commands)


def test_console_scripts_start_what_is_there() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert {name: EntryPoint(name, value, "").load() for name, value in scripts.items()} == {
        "tag-videos": cli.main
    }


def test_skips_go_through_one_door() -> None:
    skip = re.compile(r"pytest[.](skip\(|importorskip|mark\.skip).*")
    pages = [path for path in (ROOT / "tests").rglob("*.py") if path.name != "needs.py"]
    found = [skip.search(line) for page in pages for line in page.read_text().splitlines()]
    # But for media that few machines have, in the folder that $SHARED names.
    assert [line[0] for line in found if line and "SHARED" not in line[0]] == []
