"""Names and descriptions in the code are plain English, of the field, and unique."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pipeline"
PACKAGES = sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())

# Participles that do not end in -ed, -en or -wn, and adverbs.
_IRREGULAR = """
again ahead alike alone apart around away back begun below beside bought brought built caught come
done else ever felt first found further gone held here kept laid last later least left lent less
lost made meant meanwhile met more most near never now often once paid put said since so sold soon
sought still stood struck taught then there thought told together torn twice understood until why
within won worn
"""
_BARE = frozenset(_IRREGULAR.split())
_VERBS_AND_NOUNS = frozenset(
    {"embed", "exceed", "feed", "listen", "markdown", "need", "open", "seed", "token"}
)


def modules(package: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((PACKAGE / package).rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def is_bare(name: str) -> bool:
    """Return whether a name is one participle or adverb and nothing else."""
    return name in _BARE or (
        bool(re.fullmatch(r"[a-z]+(ed|en|wn)", name)) and name not in _VERBS_AND_NOUNS
    )


def test_a_bare_participle_or_adverb_is_recognised() -> None:
    assert all(map(is_bare, ("said", "placed", "here", "written", "chosen", "shown")))
    assert not any(map(is_bare, ("seed", "feed", "open", "resolve", "is_placed", "told_apart")))


def test_no_two_classes_of_the_package_have_the_same_name() -> None:
    places = defaultdict(list)
    for package in PACKAGES:
        for path, tree in modules(package):
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(f"{path.relative_to(PACKAGE)}:{node.lineno}")

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_function_is_called_by_a_bare_participle_or_adverb(package: str) -> None:
    bare = [
        f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}"
        for path, tree in modules(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and is_bare(node.name)
        and not any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list)
    ]

    assert bare == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_description_begins_with_a_preposition_or_a_pronoun(package: str) -> None:
    riddles = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path, tree in modules(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for line in (ast.get_docstring(node) or "").splitlines()
        if re.match(r"\s+\w+: (Of|As|See|It|By)\b", line)
    ]

    assert riddles == []
