#!/usr/bin/env python3
"""Text from outside: a file whose name is no UTF-8 and moves the cursor, in every message about it."""

import json
import os
import unittest

from services import ServiceTestCase, run, wait_for

# An image that is none, in a class of its own: bytes that are no UTF-8, a line end, an escape sequence.
NAME = b"bad\xff\xe6\x97\n\x1b[2J.pgm"
SHOWN = r"bad\xff\xe6\x97\n\x1b[2J.pgm"

SPEC = """\
name: shapes
dataset: {name: shapes, shard_size: 8}
student: {architecture: "mlp:64-2"}
loss: {alpha: 0}
training: {rounds: 1, replicas: 1, local_epochs: 1, batch_size: 4}
"""


class PlainTextTest(ServiceTestCase):
    def setUp(self):
        super().setUp()
        for split in ("train", "test"):
            for number, name in enumerate(("dark", "light")):
                folder = self.path(f"data/shapes/{split}/{name}")
                os.makedirs(folder)
                for i in range(8):
                    with open(os.path.join(folder, f"{i}.pgm"), "wb") as file:
                        file.write(b"P5 8 8 255\n" + bytes([200 * number + i]) * 64)
        with open(os.path.join(os.fsencode(self.path("data/shapes/train/light")), NAME), "wb") as bad:
            bad.write(b"P5 8 8 255\nshort")
        self.spec = self.write("run.yaml", SPEC)

    def assert_plain(self, data, log_format="text"):
        """UTF-8 without controls but line ends, and the file is named."""
        text = data.decode()  # strictly
        self.assertNotIn("\x1b", text)
        if log_format == "json":
            said = "".join(json.loads(line)["message"] for line in text.splitlines())
        else:
            said = text
        self.assertIn(SHOWN, said)
        return text

    def raw(self, *arguments):
        """A program's exit code and the bytes that it wrote."""
        done = run(*arguments, check=False, errors="surrogateescape")
        return done.returncode, os.fsencode(done.stdout), os.fsencode(done.stderr)

    def test_Fault56_distillery_run_names_the_file_in_one_line_and_ends(self):
        code, _, errors = self.raw("distillery", "run", self.spec, "--data-dir", self.path("data"),
                                   "--output", self.path("out"))
        self.assertNotEqual(code, 0)
        text = self.assert_plain(errors)
        self.assertEqual(sum(SHOWN in line for line in text.splitlines()), 1, text)

    def test_Fault56_a_folder_whose_name_is_no_UTF8_is_as_good_as_any(self):
        folder = os.path.join(os.fsencode(self.folder), b"d\xff\n")
        os.makedirs(folder)
        teacher = os.path.join(folder, b"teacher.pt")
        run("distillery", "train-teacher", "--output", teacher.decode(errors="surrogateescape"),
            "--epochs", 1, "--architecture", "mlp:64-10")
        spec = os.path.join(folder, b"run.yaml")
        with open(spec, "w") as file:
            file.write("name: odd\nteacher: {model: teacher.pt}\nstudent: {architecture: "
                       "\"mlp:64-10\"}\ntraining: {rounds: 1, local_epochs: 1}\n")
        done = run("distillery", "run", spec.decode(errors="surrogateescape"), "--output",
                   self.path("out"), errors="surrogateescape")
        self.assertIn("weights SHA-256", done.stdout)

    def test_Fault56_services_pause_the_run_with_the_name_and_are_no_hot_loop(self):
        for log_format in ("text", "json"):
            with self.subTest(log_format):
                coordinator = self.coordinator("--log-format", log_format)
                worker = self.worker("one", coordinator.address, "", "--data-dir",
                                     self.path("data"), "--log-format", log_format)
                at = ("--coordinator", coordinator.address)
                run_id = self.submit(self.spec, coordinator.address)
                wait_for("the run to pause", lambda: self.record(
                    f"SELECT 1 FROM runs WHERE run_id = '{run_id}' AND state = 6"))
                code, _, errors = self.raw("distillery", "watch", run_id, *at)
                self.assertEqual(code, 1)
                self.assert_plain(errors)
                for arguments in (("runs",), ("runs", "--json"), ("watch", "--once"),
                                  ("watch", "--json")):
                    code, output, _ = self.raw("distillery", *arguments, *at)
                    self.assertEqual(code, 0)
                    if "--json" in arguments:
                        self.assertIn(SHOWN, json.dumps(json.loads(output)).replace("\\\\", "\\"))
                    else:
                        self.assertIn(SHOWN, output.decode().replace("\n  ", ""))
                (leases, lost), = self.record(
                    "SELECT count(*), sum(outcome = 'abandoned') FROM leases "
                    f"WHERE run_id = '{run_id}'")
                self.assertEqual((leases, lost), (3, 0))
                for process in (worker, coordinator):
                    self.assertEqual(process.terminate(), 0)
                    with open(process.log_path, "rb") as log:
                        lines = self.assert_plain(log.read(), log_format).splitlines()
                    self.assertLess(len(lines), 100)
                    os.remove(process.log_path)


if __name__ == "__main__":
    unittest.main()
