#!/usr/bin/env python3
"""Small files, short functions, classes that do one thing."""

import os
import subprocess
import sys
import unittest

import sizes

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FILE_LINES = 500  # of a .cc
FUNCTION_LINES = 80
PUBLIC_METHODS = 30
FACADE_LINES = 200  # of coordinator.h, less than


def sources():
    for folder in ("common", "teacher_service", "student_worker", "coordinator", "cli", "tests"):
        for at, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in names:
                if name.endswith((".cc", ".h")):
                    path = os.path.join(at, name)
                    with open(path) as file:
                        yield os.path.relpath(path, ROOT), file.read()


class Sizes(unittest.TestCase):
    maxDiff = None

    def test_no_file_is_longer_than_500_lines(self):
        long = [f"{path}: {text.count(chr(10))} lines" for path, text in sources()
                if path.endswith(".cc") and text.count("\n") > FILE_LINES]
        self.assertEqual([], long)

    def test_no_function_is_longer_than_80_lines(self):
        found = 0
        long = []
        for path, text in sources():
            for number, line, length in sizes.functions(text):
                found += 1
                if length > FUNCTION_LINES:
                    long.append(f"{path}:{number}: {length} lines: {line}")
        self.assertGreater(found, 1000)
        self.assertEqual([], long)

    def test_no_class_has_more_than_30_public_methods(self):
        found = 0
        large = []
        for path, text in sources():
            for number, name, count in sizes.classes(text):
                found += 1
                if count > PUBLIC_METHODS:
                    large.append(f"{path}:{number}: {name} has {count}")
        self.assertGreater(found, 200)
        self.assertEqual([], large)

    def test_the_coordinator_is_a_facade(self):
        with open(os.path.join(ROOT, "coordinator", "coordinator.h")) as file:
            self.assertLess(file.read().count("\n"), FACADE_LINES)


class TheMeasureItself(unittest.TestCase):
    def test_a_function_is_measured_between_its_braces(self):
        text = ("absl::Status Long(int a,\n                  int b) {\n" + "  f();\n" * 81 + "}\n"
                "class A {\n  int Inline() const {\n    return 1;\n  }\n};\n")
        self.assertEqual([(1, 81), (86, 1)],
                         [(number, length) for number, _, length in sizes.functions(text)])

    def test_public_methods_are_counted(self):
        text = ("class A : public B {\n public:\n  A();\n  A(const A&) = delete;\n  int Get(int a,\n"
                "          int b);\n  // not( this\n  int field = f(1);\n"
                "  std::map<int, int> guarded ABSL_GUARDED_BY(mutex_);\n\n private:\n  void No();\n};\n"
                "struct B {\n  void Yes();\n};\n")
        self.assertEqual([("A", 2), ("B", 1)],
                         [(name, count) for _, name, count in sizes.classes(text)])


if __name__ == "__main__":
    unittest.main()
