#!/usr/bin/env python3
"""systemd accepts the units, and what they name is there."""

import glob
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

from deployment import DEPLOY, environment_variables, program, read, unknown_flags

UNITS = sorted(glob.glob(os.path.join(DEPLOY, "systemd", "*.service")))
PROGRAMS = {"distillery-teacher": "teacher_service", "distillery-coordinator": "coordinator",
            "distillery-worker": "student_worker"}


def settings(path):
    """{key: [values]} of a unit."""
    found = {}
    with open(path) as file:
        for line in file:
            key, equals, value = line.strip().partition("=")
            if equals and not key.startswith("#"):
                found.setdefault(key, []).append(value)
    return found


class SystemdTest(unittest.TestCase):
    def analyze(self, *arguments):
        """Runs systemd-analyze on the units, with the programs where this build has them."""
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        with tempfile.TemporaryDirectory() as folder:
            copies = []
            for unit in UNITS:
                with open(unit) as file:
                    text = re.sub(r"/usr/bin/(\w+)", lambda found: program(found[1]), file.read())
                # Manual pages come with the package.
                text = re.sub(r"^Documentation=.*\n", "", text, flags=re.M)
                copies.append(os.path.join(folder, os.path.basename(unit)))
                with open(copies[-1], "w") as file:
                    file.write(text)
            return [subprocess.run(["systemd-analyze", *arguments, copy], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
                    for copy in copies]

    def test_there_is_one_of_each_service(self):
        self.assertEqual({os.path.basename(unit)[:-len(".service")] for unit in UNITS},
                         set(PROGRAMS))

    def test_systemd_takes_them_without_a_word(self):
        for done in self.analyze("verify"):
            # Systemd may complain about units that this machine has itself as well.
            ours = [line for line in done.stdout.splitlines() if "distillery" in line]
            self.assertEqual(ours, [], done.stdout)

    def test_they_are_exposed_little(self):
        for done in self.analyze("security", "--offline=yes", "--threshold=30", "--no-pager"):
            self.assertEqual(done.returncode, 0, done.stdout[-3000:])

    def test_each_runs_its_program_drains_and_comes_back(self):
        for unit in UNITS:
            name = os.path.basename(unit)[:-len(".service")]
            found = settings(unit)
            command = shlex.split(found["ExecStart"][0])
            self.assertEqual(command[0], "/usr/bin/" + PROGRAMS[name])
            self.assertEqual(found["User"], ["distillery"])
            self.assertGreaterEqual(int(found["TimeoutStopSec"][0]), 15)
            self.assertIn(found["Restart"][0], ("on-failure", "always"))
            self.assertEqual(found["RestartPreventExitStatus"], ["2"])
            self.assertNotIn("KillSignal", found)

    def test_flags_and_variables_of_the_settings_exist(self):
        for name, binary in PROGRAMS.items():
            short = name.partition("-")[2]
            unit = settings(os.path.join(DEPLOY, "systemd", name + ".service"))
            self.assertEqual(unit["EnvironmentFile"], [f"/etc/distillery/{short}.env"])
            text = read("systemd", short + ".env")
            (options,) = re.findall(r'^OPTIONS="(.*)"$', text, re.M)
            command = shlex.split(unit["ExecStart"][0].replace("$OPTIONS", options))
            self.assertEqual(unknown_flags([binary, *command[1:]]), [], name)
            mentioned = [flag for line in text.splitlines() if "systemctl" not in line
                         for flag in re.findall(r"--[a-z][a-z-]*", line)]
            self.assertEqual(unknown_flags([binary, *mentioned]), [], name)
            variables = set(re.findall(r"^#?(DISTILLERY_\w+)=", text, re.M))
            self.assertEqual(len(variables), 3)
            self.assertLessEqual(variables, environment_variables())
            self.assertIn(f"/etc/distillery/{short}.env\n", read("debian", "conffiles"))


if __name__ == "__main__":
    unittest.main()
