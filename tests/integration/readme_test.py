#!/usr/bin/env python3
"""README's commands, so that they cannot rot: every block marked `sh` is run, in order, in one shell."""

import os
import re
import shutil
import subprocess
import unittest

from services import BIN, SOURCE, ServiceTestCase


def shell_blocks():
    with open(os.path.join(SOURCE, "README.md")) as file:
        return re.findall(r"^```sh\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE)


class ReadmeTest(ServiceTestCase):
    def test_the_commands_work_from_top_to_bottom(self):
        blocks = shell_blocks()
        self.assertGreaterEqual(len(blocks), 5)
        for name in ("deploy", "proto", "common"):
            shutil.copytree(os.path.join(SOURCE, name), self.path(name),
                            ignore=shutil.ignore_patterns("build", "*.egg-info"))
        os.makedirs(self.path("build/release"))
        os.symlink(BIN, self.path("build/release/bin"))
        # Services that README starts with & end with the shell.
        script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n"
        for block in blocks:
            script += f"echo '--- {block.splitlines()[0][:60]}'\n{block}"
        environment = dict(os.environ)
        environment["PATH"] = "/usr/bin:/bin:" + environment.get("PATH", "")
        done = subprocess.run(["bash", "-c", script], cwd=self.folder, text=True, timeout=540,
                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:])
        for made in ("runs/teacher.pt", "runs/digits/student.pt", "runs/first/student.pt"):
            self.assertTrue(os.path.exists(self.path(made)), made)


if __name__ == "__main__":
    unittest.main()
