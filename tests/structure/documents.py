"""What README, docs and the other documents say of each other and of the tree: sizes, links, paths, and
the list of fault tests."""

import collections
import functools
import os
import re
import urllib.parse

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOP_FOLDERS = ("cli", "common", "coordinator", "deploy", "docs", "proto", "student_worker",
               "teacher_service", "tests")
# What a command makes.
MADE = ("deploy/kubernetes/base/certificates",)
FAULT_TESTS = "docs/fault-tests.md"


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()


def files(*folders, endings):
    """Paths from the root of the files in `folders` whose names end so, sorted; builds are left out."""
    found = []
    for folder in folders:
        for where, inner, names in os.walk(os.path.join(SOURCE, folder)):
            inner[:] = [name for name in inner if name not in ("build", "__pycache__", "corpus")]
            found += [os.path.relpath(os.path.join(where, name), SOURCE) for name in names
                      if name.endswith(endings)]
    return sorted(found)


@functools.lru_cache(None)
def documents():
    """Every document in Markdown, from the root."""
    top = [name for name in os.listdir(SOURCE) if name.endswith(".md")]
    return tuple(sorted(top + files(*TOP_FOLDERS, endings=".md")))


def without_code(text):
    """The text without blocks of code, whose lines stay as empty ones."""
    return re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text,
                  flags=re.DOTALL | re.MULTILINE)


def anchors(text):
    """The anchors of a page's headings, as GitHub and GitLab make them."""
    found, seen = set(), collections.Counter()
    for heading in re.findall(r"^#{1,6} +(.*?) *$", without_code(text), re.M):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def links(text):
    """[(line number, target)] of the links and pictures of a page."""
    found = []
    for number, line in enumerate(without_code(text).splitlines(), 1):
        line = re.sub(r"`[^`]*`", "", line)
        found += [(number, target) for target in re.findall(r"\]\(([^)\s]+)\)", line)]
    return found


def broken_links(page, text, exists=None, page_text=read):
    """What does not resolve in `text`, the content of `page`, as "PAGE:LINE: TARGET: why"."""
    exists = exists or (lambda path: os.path.exists(os.path.join(SOURCE, path)))
    problems = []
    for number, target in links(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = urllib.parse.unquote(target).partition("#")
        full = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        if full.startswith("..") or not exists(full):
            problems.append(f"{page}:{number}: {target}: there is no {full}")
        elif anchor and anchor not in anchors(text if full == page else page_text(full)):
            problems.append(f"{page}:{number}: {target}: {full} has no such heading")
    return problems


def missing_paths(page, text):
    """Paths in `code` that the tree does not have, as "PAGE: PATH"."""
    paths = re.findall(rf"`((?:{'|'.join(TOP_FOLDERS)})/[\w./-]*)`", without_code(text))
    return [f"{page}: {path}" for path in paths
            if path not in MADE and not os.path.exists(os.path.join(SOURCE, path))]


def listed_faults():
    """The numbers of docs/faults.md, in order."""
    return [int(number) for number in re.findall(r"^\| (\d+) \|", read("docs/faults.md"), re.M)]


def fault_tests():
    """{number: files with tests of that fault}."""
    found = collections.defaultdict(set)
    for path in files("tests", endings=("_test.cc", "_test.py")):
        for number in re.findall(r"\b(?:test_)?Fault(\d+)_", read(path)):
            found[int(number)].add(path)
    return {number: sorted(paths) for number, paths in found.items()}


def fault_tests_page():
    """What docs/fault-tests.md must be."""
    tests, rows = fault_tests(), []
    for number in listed_faults():
        paths = ", ".join(f"`{path}`" for path in tests.get(number, [])) or "none yet"
        rows.append(f"| {number} | {paths} |")
    return f"""# Fault tests

The files with tests of each [numbered fault](faults.md). In a file, the tests of fault NN are those whose names begin with `FaultNN_`. `tests/run --filter REGEX` runs some of them.

A fault with "none yet" is expected to be survived, and no test shows it yet.

This page is made by `python3 tests/structure/documents_test.py --write`, and a test compares it with the tree.

| fault | tests |
|---|---|
""" + "\n".join(rows) + "\n"
