#!/usr/bin/env python3
"""Documents are short, their links and paths resolve, and the list of fault tests is that of the tree.

    python3 tests/structure/documents_test.py --write     makes docs/fault-tests.md anew
"""

import os
import sys
import unittest

from documents import (FAULT_TESTS, SOURCE, anchors, broken_links, documents, fault_tests,
                       fault_tests_page, links, listed_faults, missing_paths, read)

MOST_BYTES_OF_README = 12288
MOST_LINES_OF_README = 200
MOST_BYTES_OF_A_PAGE = 10240
KEY_REFERENCE = "docs/run-spec.md"
PAGES = ("getting-started", "distillation", "run-spec", "data", "pictures", "sound", "archives", "augmentation", "models", "students", "teacher", "coordinator",
         "operations", "metrics", "security", "guarantees", "faults", "gpu", "experiments", "python",
         "design", *(f"measured/{page}" for page in ("training", "teacher", "coordinator", "students",
                                                      "gpu", "paper-mnist")))


class DocumentsTest(unittest.TestCase):
    def test_the_readme_is_one_page(self):
        text = read("README.md")
        self.assertLessEqual(len(text.encode()), MOST_BYTES_OF_README)
        self.assertLessEqual(text.count("\n"), MOST_LINES_OF_README)

    def test_every_page_is_there_and_short(self):
        pages = [page for page in documents() if page.startswith("docs/")]
        self.assertLessEqual({f"docs/{page}.md" for page in PAGES}, set(pages))
        for page in pages:
            if page != KEY_REFERENCE:
                self.assertLessEqual(len(read(page).encode()), MOST_BYTES_OF_A_PAGE, page)

    def test_every_link_and_anchor_resolves(self):
        self.assertGreater(sum(len(links(read(page))) for page in documents()), 100)
        problems = [problem for page in documents() for problem in broken_links(page, read(page))]
        self.assertEqual(problems, [])

    def test_every_page_can_be_reached_from_the_readme(self):
        reached, open_pages = set(), ["README.md"]
        while open_pages:
            page = open_pages.pop()
            if page in reached:
                continue
            reached.add(page)
            for _, target in links(read(page)):
                path = os.path.normpath(os.path.join(os.path.dirname(page), target.split("#")[0]))
                if path.endswith(".md") and os.path.exists(os.path.join(SOURCE, path)):
                    open_pages.append(path)
        self.assertEqual([page for page in documents() if page not in reached], [])

    def test_every_path_that_is_named_exists(self):
        problems = [problem for page in documents() for problem in missing_paths(page, read(page))]
        self.assertEqual(problems, [])

    def test_measurements_name_machine_date_commit_and_command(self):
        for page in documents():
            if page.startswith("docs/measured/"):
                head = read(page).split("\n## ")[0].lower()
                for word in ("**machine**", "**date and commit**", "**command"):
                    self.assertIn(word, head, page)


class FaultsTest(unittest.TestCase):
    def test_the_list_is_numbered_without_a_gap(self):
        numbers = listed_faults()
        self.assertGreaterEqual(len(numbers), 68)
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))

    def test_every_number_that_a_test_cites_is_on_the_list(self):
        self.assertGreaterEqual(len(fault_tests()), 60)
        self.assertLessEqual(set(fault_tests()), set(listed_faults()))

    def test_the_list_of_fault_tests_is_that_of_the_tree(self):
        self.assertEqual(read(FAULT_TESTS), fault_tests_page(),
                         "python3 tests/structure/documents_test.py --write makes it anew")


class CheckerTest(unittest.TestCase):
    """The checker itself: it finds what is planted for it, and nothing else."""

    PAGE = "# A page\n\n## One `two`, three?\n\n## One two three\n\n```\n# no heading\n[no](link.md)\n```\n"

    def broken(self, link):
        return broken_links("docs/page.md", self.PAGE + f"[text]({link})\n",
                            exists=lambda path: path in ("README.md", "docs/other.md", "docs/page.md"),
                            page_text=lambda path: "# Other\n\n## Here\n")

    def test_headings_have_the_anchors_that_a_browser_sees(self):
        self.assertEqual(anchors(self.PAGE), {"a-page", "one-two-three", "one-two-three-1"})

    def test_what_resolves_is_no_problem(self):
        for link in ("other.md", "other.md#here", "../README.md", "#one-two-three-1",
                     "https://example.org/none.md"):
            self.assertEqual(self.broken(link), [], link)

    def test_what_does_not_resolve_is_named_with_its_line(self):
        self.assertEqual(self.broken("none.md"),
                         ["docs/page.md:11: none.md: there is no docs/none.md"])
        self.assertEqual(self.broken("other.md#there"),
                         ["docs/page.md:11: other.md#there: docs/other.md has no such heading"])
        self.assertEqual(self.broken("#no-heading"),
                         ["docs/page.md:11: #no-heading: docs/page.md has no such heading"])
        self.assertEqual(len(self.broken("../../outside.md")), 1)

    def test_a_path_that_is_not_there_is_named(self):
        self.assertEqual(missing_paths("p.md", "`tests/run` and `common/none.cc`, `a/b`"),
                         ["p.md: common/none.cc"])


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        with open(os.path.join(SOURCE, FAULT_TESTS), "w", encoding="utf-8") as file:
            file.write(fault_tests_page())
    else:
        unittest.main()
