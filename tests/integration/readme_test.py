#!/usr/bin/env python3
"""The commands of README and docs, so that they cannot rot: every block marked `sh` is run, page by page,
in one shell."""

import glob
import os
import re
import shutil
import subprocess
import unittest

from services import BIN, SOURCE, ServiceTestCase

# A page may build on those before it.
PAGES = ("README.md", *(f"docs/{page}.md" for page in (
    "getting-started", "models", "data", "teacher", "python", "operations", "experiments", "security")))


def shell_blocks(page):
    with open(os.path.join(SOURCE, page)) as file:
        return re.findall(r"^```sh\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE)


class ReadmeTest(ServiceTestCase):
    def test_every_page_with_commands_is_listed(self):
        written = ["README.md", *(os.path.relpath(path, SOURCE) for path in glob.glob(
            os.path.join(SOURCE, "docs", "**", "*.md"), recursive=True))]
        self.assertEqual(sorted(page for page in written if shell_blocks(page)), sorted(PAGES))

    def test_the_commands_work_from_top_to_bottom(self):
        for name in ("deploy", "proto", "common"):
            shutil.copytree(os.path.join(SOURCE, name), self.path(name),
                            ignore=shutil.ignore_patterns("build", "*.egg-info"))
        os.makedirs(self.path("build/release"))
        os.symlink(BIN, self.path("build/release/bin"))
        # Services that a page starts with & end with the shell.
        script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n"
        for page in PAGES:
            for block in shell_blocks(page):
                script += f"echo '--- {page}: {block.splitlines()[0][:60]}'\n{block}"
        environment = dict(os.environ)
        environment["PATH"] = "/usr/bin:/bin:" + environment.get("PATH", "")
        done = subprocess.run(["bash", "-c", script], cwd=self.folder, text=True, timeout=540,
                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:])
        for made in ("runs/teacher.pt", "runs/digits/student.pt", "runs/first/student.pt",
                     "runs/student.onnx", "runs/twelve.svg", "runs/first.html", "runs/tls/student.pt"):
            self.assertTrue(os.path.exists(self.path(made)), made)


if __name__ == "__main__":
    unittest.main()
