#!/usr/bin/env python3
"""Runs that start from somebody's weights."""

import json
import os
import unittest

import specs
from services import TeacherTestCase, run


class InitialWeightsTest(TeacherTestCase):
    def spec(self, name, initial="", **options):
        text = specs.digits(self.teacher_file, rounds=2, local_epochs=2, **options)
        if initial:
            text = text.replace('student: {', f'student: {{initial_weights: "{initial}", ')
        return self.write(name, text)

    def in_one_process(self, spec_path, folder):
        done = run("distillery", "run", spec_path, "--output", self.path(folder), "--json")
        return json.loads(done.stdout)["run"]

    def test_a_run_goes_on_from_a_half_trained_file(self):
        first = self.in_one_process(self.spec("first.yaml"), "first")
        runs = {}
        for kind in ("pt", "safetensors"):
            # The path is relative to the spec.
            spec = self.spec(f"{kind}.yaml", f"first/student.{kind}")
            runs[kind] = self.in_one_process(spec, kind)
            self.assertEqual(runs[kind]["initial_weights_sha256"], first["weights_sha256"], kind)
            self.assertNotEqual(runs[kind]["weights_sha256"], first["weights_sha256"])
        self.assertEqual(runs["pt"]["weights_sha256"], runs["safetensors"]["weights_sha256"])
        # The same on services, whose workers get the weights from the coordinator.
        coordinator = self.coordinator()
        teacher = self.teacher(self.teacher_file)
        self.worker("worker", coordinator.address, teacher.address)
        run_id = self.submit(self.path("pt.yaml"), coordinator.address)
        done = self.finish(run_id, coordinator.address)
        self.assertEqual(done["weights_sha256"], runs["pt"]["weights_sha256"])

    def test_carried_optimizer_state_is_no_part_of_a_student(self):
        carried = self.in_one_process(self.spec("carried.yaml", optimizer_state="average"),
                                      "carried")
        # The run's weights have the state, the files that are given out have not.
        started = self.in_one_process(self.spec("next.yaml", "carried/student.pt"), "next")
        self.assertNotEqual(started["initial_weights_sha256"], carried["weights_sha256"])
        with open(self.path("carried/student.safetensors"), "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        self.assertEqual(sorted(header), ["fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"])

    def test_what_does_not_fit_is_named(self):
        self.in_one_process(self.spec("small.yaml", architecture="mlp:64-20-10"), "small")
        spec = self.spec("wrong.yaml", "small/student.pt")
        done = run("distillery", "run", spec, "--output", self.path("wrong"), check=False)
        self.assertEqual(done.returncode, 1)
        last = done.stderr.splitlines()[-1]
        self.assertIn("student.initial_weights", last)
        self.assertIn("fc1.bias", last)
        spec = self.spec("absent.yaml", "absent.pt")
        done = run("distillery", "run", spec, "--output", self.path("absent"), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("absent.pt", done.stderr.splitlines()[-1])
        with open(self.path("text.safetensors"), "w") as file:
            file.write("no weights")
        spec = self.spec("text.yaml", "text.safetensors")
        done = run("distillery", "run", spec, "--output", self.path("text"), check=False)
        self.assertIn("text.safetensors", done.stderr.splitlines()[-1])
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(os.path.exists(self.path("text/student.pt")))


if __name__ == "__main__":
    unittest.main()
