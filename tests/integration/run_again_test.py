#!/usr/bin/env python3
"""`distillery run` on a folder that holds a run of the same spec: it is that run only if teacher and
data are still the same."""

import json
import os
import shutil
import unittest

import numpy
import specs
from pictures import write_npy_dataset
from services import TeacherTestCase, run


class RunAgainTest(TeacherTestCase):
    def again(self, spec, *arguments):
        """Returns the finished run, and what was said on stderr."""
        done = run("distillery", "run", spec, "--output", self.path("run"), "--json", *arguments)
        return json.loads(done.stdout)["run"], done.stderr

    def test_a_finished_run_is_answered_from_the_record(self):
        spec = self.write("run.yaml", specs.digits(self.teacher_file, rounds=1, local_epochs=1))
        first, _ = self.again(spec)
        second, said = self.again(spec)
        self.assertEqual(second["run_id"], first["run_id"])
        self.assertNotIn("done anew", said)

    def test_another_teacher_in_the_file_is_another_run(self):
        teacher = self.path("teacher.pt")
        shutil.copy(self.teacher_file, teacher)
        spec = self.write("run.yaml", specs.digits(teacher, rounds=1, local_epochs=1))
        first, _ = self.again(spec)
        run("distillery", "train-teacher", "--output", self.path("other.pt"), "--epochs", 2,
            "--architecture", "mlp:64-16-10", "--seed", 9)
        os.replace(self.path("other.pt"), teacher)
        second, said = self.again(spec)
        self.assertIn(f"it is of teacher digest {first['teacher_digest']}, there is "
                      f"{second['teacher_digest']} now: it is done anew", said)
        self.assertNotEqual(second["weights_sha256"], first["weights_sha256"])
        third, said = self.again(spec)
        self.assertEqual(third["run_id"], second["run_id"])

    def test_a_teacher_that_is_not_the_one_of_the_spec_is_refused(self):
        text = specs.digits(self.teacher_file, rounds=1, local_epochs=1)
        named = f'teacher: {{digest: "{64 * "0"}", model:'
        done = run("distillery", "run", self.write("run.yaml", text.replace("teacher: {model:", named)),
                   "--output", self.path("run"), check=False, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("teacher.digest is 0000", done.stderr)
        self.assertNotIn("done anew", done.stderr)

    def test_other_data_in_the_files_is_another_run(self):
        classes = 4
        write_npy_dataset(self.path("data/bars"), classes)
        spec = self.write("run.yaml", """\
name: bars
dataset: {name: bars, shard_size: 60}
student: {architecture: "mlp:144-8-4"}
loss: {alpha: 0}
training: {rounds: 1, local_epochs: 1, batch_size: 20}
""")
        first, _ = self.again(spec, "--data-dir", self.path("data"))
        images = numpy.load(self.path("data/bars/train_images.npy"))
        images[0] ^= 1
        numpy.save(self.path("data/bars/train_images.npy"), images)
        second, said = self.again(spec, "--data-dir", self.path("data"))
        self.assertIn(f"it is of data set digest {first['dataset_digest']}, there is "
                      f"{second['dataset_digest']} now: it is done anew", said)
        self.assertNotEqual(second["weights_sha256"], first["weights_sha256"])


if __name__ == "__main__":
    unittest.main()
