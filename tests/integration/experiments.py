"""Experiments for tests: their results, checked against the schema."""
import json
import os
import subprocess

import jsonschema

from services import SOURCE, ServiceTestCase, program

with open(os.path.join(SOURCE, "deploy", "results.schema.json")) as schema_file:
    SCHEMA = json.load(schema_file)
LONGEST = 900  # seconds: far above what a busy machine needs


class ExperimentCase(ServiceTestCase):
    def experiment(self, name, *arguments, folder=None):
        """Runs it to its end and returns its results."""
        folder = folder or self.path(name)
        done = subprocess.run([program("distillery"), "experiment", name, "--output", folder,
                               "--json", *arguments], text=True, timeout=LONGEST,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(folder, "results.json")) as file:
            results = json.load(file)
        self.assertEqual(json.loads(done.stdout), results)
        jsonschema.validate(results, SCHEMA)
        self.assertTrue(any(kept["main"] for kept in results["runs"]))
        for kept in results["runs"]:
            for file in (kept["teacher"], kept["folder"] + "/student.pt",
                         kept["folder"] + "/metrics.json"):
                self.assertTrue(os.path.getsize(os.path.join(folder, file)) > 0, file)
        for name in ("README.txt", "report.html"):
            with open(os.path.join(folder, name)) as file:
                self.assertIn(results["title"], file.read(), name)
        return results


def table(results, title):
    return next(one for one in results["tables"] if one["title"] == title)


def rows(results, title):
    """Rows of a table as dictionaries by column, numbers alone where they have an interval."""
    found = table(results, title)
    names = [column["name"] for column in found["columns"]]
    return [dict(zip(names, [cell["value"] if isinstance(cell, dict) else cell for cell in row]))
            for row in found["rows"]]


def figure(results, title):
    return next(one for one in results["figures"] if one["title"] == title)


def series(results, title, name):
    return next(one for one in figure(results, title)["series"] if one["name"] == name)
