#!/usr/bin/env python3
"""What a running teacher tells Prometheus: the text format, the numbers, the list of them, the flags."""

import os
import re
import socket
import unittest
import urllib.request

from metric_pages import listed_metrics
from services import TeacherTestCase, run, wait_for

PREFIX = "distillery_teacher_"
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{((?:{NAME}="(?:[^"\\\n]|\\.)*",?)*)\}})? (\S+)')
LABEL = re.compile(rf'({NAME})="((?:[^"\\\n]|\\.)*)"')


def scrape(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


class Exposition:
    """The text format 0.0.4, read strictly: families in one piece, each with its help and type."""

    def __init__(self, text):
        self.help, self.type = {}, {}
        self.samples = {}  # (name, labels as a frozenset of pairs): value
        self.labels = {}  # family: names of its labels
        if not text.endswith("\n"):
            raise ValueError("the last line does not end")
        family = None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                _, _, family, self.help[family] = line.split(" ", 3)
            elif line.startswith("# TYPE "):
                _, _, name, self.type[name] = line.split(" ")
                if name != family:
                    raise ValueError(f"type of {name} after the help of {family}")
            else:
                match = SAMPLE.fullmatch(line)
                if match is None:
                    raise ValueError(f"no sample: {line!r}")
                name, labels = match[1], dict(LABEL.findall(match[2] or ""))
                suffixes = ["_bucket", "_sum", "_count"] if self.type[family] == "histogram" else [""]
                if name not in [family + suffix for suffix in suffixes]:
                    raise ValueError(f"{name} lies in the family {family}")
                key = (name, frozenset(labels.items()))
                if key in self.samples:
                    raise ValueError(f"twice: {line!r}")
                self.samples[key] = float(match[3])
                self.labels.setdefault(family, set()).update(labels.keys() - {"le"})

    def value(self, name, **labels):
        return self.samples[PREFIX + name, frozenset(labels.items())]

    def histogram(self, name, **labels):
        """Cumulative counts by bound, in order."""
        wanted = set(labels.items())
        found = {}
        for (sample, pairs), value in self.samples.items():
            if sample == PREFIX + name + "_bucket" and wanted <= pairs:
                found[float(dict(pairs)["le"])] = value
        return [found[bound] for bound in sorted(found)], sorted(found)


class MetricsTest(TeacherTestCase):
    def served(self, *arguments, label="teacher"):
        file = self.path(label + ".metrics")
        teacher = self.teacher(self.teacher_file, "--metrics-listen", "127.0.0.1:0",
                               "--metrics-address-file", file, *arguments)
        with open(file) as written:
            teacher.metrics_address = written.read().strip()
        return teacher

    def exposition(self, teacher):
        content_type, text = scrape(teacher.metrics_address)
        self.assertTrue(content_type.startswith("text/plain; version=0.0.4"), content_type)
        return Exposition(text)

    def test_numbers_are_those_of_what_was_asked(self):
        teacher = self.served("--cache-dir", self.path("cache"), "--model",
                              "other=" + self.teacher_file)
        before = self.exposition(teacher)
        self.assertEqual(before.value("queries_total", model="teacher"), 0)
        self.assertEqual(before.value("model_ready", model="other"), 1)
        for index in range(3):
            run("distillery", "query", "--index", index, "--teacher", teacher.address)
        after = self.exposition(teacher)
        self.assertEqual(before.type, after.type)
        # Each query is one picture at four temperatures: a call of one row for each.
        rows = after.value("rows_total", model="teacher", lane="query")
        self.assertEqual(rows, 12)
        self.assertEqual(after.value("queries_total", model="teacher"), rows)
        self.assertEqual(after.value("queries_total", model="other"), 0)
        self.assertGreater(after.value("compute_seconds_total", model="teacher"), 0)
        counts, bounds = after.histogram("batch_rows", model="teacher")
        self.assertEqual(bounds[:3] + bounds[-1:], [1, 2, 4, float("inf")])
        self.assertEqual(counts, sorted(counts), "buckets add up")
        self.assertEqual(counts[-1], after.value("batch_rows_count", model="teacher"))
        self.assertEqual(counts[-1], after.value("batches_total", model="teacher", lane="query"))
        self.assertEqual(after.value("batch_rows_sum", model="teacher"), rows)
        self.assertGreaterEqual(after.value("accepted_connections_total"), 3)
        self.assertEqual(after.value("refused_connections_total"), 0)
        version = run("teacher_service", "--version").stdout.split()[-1]
        self.assertEqual(after.value("build_info", version=version), 1)
        digest = re.search(r"teacher teacher: .* digest (\w+)", teacher.log())[1]
        self.assertEqual(after.value("model_info", model="teacher", digest=digest), 1)
        # Counters never go back, and nothing else was counted.
        for (name, labels), value in before.samples.items():
            if name.endswith("_total"):
                self.assertGreaterEqual(after.samples[name, labels], value, name)

    def test_the_list_in_docs_is_what_is_shown(self):
        shown = self.exposition(self.served("--cache-dir", self.path("cache")))
        listed = listed_metrics(PREFIX)
        # Those of any process: observability_test.py.
        self.assertEqual(sorted(listed), sorted(name for name in shown.type
                                                if not name.startswith("process_")))
        for name, (kind, labels, meaning) in listed.items():
            self.assertEqual((kind, meaning), (shown.type[name], shown.help[name]), name)
            self.assertEqual(labels, shown.labels[name], name)

    def test_flags_that_cannot_be_are_one_clear_line(self):
        def refused(code, expected, *flags):
            done = run("teacher_service", "--model", self.teacher_file, "--listen", "127.0.0.1:0",
                       *flags, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            lines = [line for line in done.stderr.splitlines() if " I " not in line]
            self.assertEqual(len(lines), 1, done.stderr)
            self.assertIn(expected, lines[0])

        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            refused(1, f"cannot listen on {address}: the port is taken; choose another with "
                    "--metrics-listen", "--metrics-listen", address)
        refused(2, "0.0.0.0:0 is not loopback", "--metrics-listen", "0.0.0.0:0")
        refused(2, "--insecure", "--metrics-listen", "0.0.0.0:0")
        refused(2, "write localhost:PORT", "--metrics-listen", "localhost:port")

    def test_other_machines_may_ask_where_that_was_said(self):
        file = self.path("metrics")
        teacher = self.teacher(self.teacher_file, "--metrics-listen", "0.0.0.0:0",
                               "--metrics-address-file", file, "--insecure")
        with open(file) as written:
            port = written.read().strip().rpartition(":")[2]
        self.assertIn(PREFIX + "build_info", scrape("127.0.0.1:" + port)[1])
        self.assertEqual(teacher.terminate(), 0)
        with self.assertRaises(OSError):
            scrape("127.0.0.1:" + port)

    def test_a_scrape_while_it_loads_says_so(self):
        file = self.path("metrics")
        self.listen("teacher", "teacher_service", "--model", "slow=" + self.endless_model(),
                    "--metrics-listen", "127.0.0.1:0", "--metrics-address-file", file)
        wait_for("the metrics' address", lambda: os.path.exists(file))
        with open(file) as written:
            shown = Exposition(scrape(written.read().strip())[1])
        self.assertEqual(shown.value("model_ready", model="slow"), 0)
        self.assertNotIn(PREFIX + "model_info", shown.type)


if __name__ == "__main__":
    unittest.main()
