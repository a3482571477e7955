#!/usr/bin/env python3
"""A teacher and a student that take pictures in unlike sizes: one RunSpec gives one SHA-256, in one
process and on services whose worker has no files of the data; and the commands take such models."""

import json
import sys
import unittest

from services import ServiceTestCase, run

try:
    from pictures import write_npy_dataset
except ImportError as error:
    print(f"skipped: {error}; install python3-numpy")
    sys.exit(77)

CLASSES = 4
# Of pictures with 3 channels, 12 x 12 as they are stored and 6 x 4 as a small model takes them.
LARGE = "432-24-4"
SMALL = "72-16-4"

SPEC = """\
name: sizes
dataset: {{name: bars, shard_size: 64, augmentation: jitter:1+flip, views: 2}}
teacher: {{model: "{teacher}"}}
student: {{architecture: "mlp:{student}", picture: {picture}}}
loss: {{alpha: 0.9, temperature: 2}}
training: {{rounds: 2, replicas: 2, local_epochs: 3, batch_size: 20, learning_rate: 0.02}}
"""


class UnlikeSizesTest(ServiceTestCase):
    def setUp(self):
        super().setUp()
        write_npy_dataset(self.path("data/bars"), CLASSES, channels=3, size=12)
        self.data = ("--data-dir", self.path("data"))

    def train_teacher(self, architecture, *arguments, check=True):
        file = self.path("teacher.pt")
        done = run("distillery", "train-teacher", "--dataset", "bars", *self.data, "--architecture",
                   f"mlp:{architecture}", "--epochs", 6, "--output", file, *arguments, check=check)
        return file if check else done

    def spec(self, teacher, student, picture):
        return self.write("run.yaml", SPEC.format(teacher=teacher, student=student,
                                                  picture=picture))

    def same_in_one_process_and_on_services(self, teacher, spec):
        """Checks that the weights and the figures are the same; returns the run and the teacher."""
        expected = json.loads(run("distillery", "run", spec, *self.data, "--output",
                                  self.path("one"), "--json").stdout)["run"]
        self.assertNotEqual(expected["weights_sha256"], expected["initial_weights_sha256"])
        coordinator = self.coordinator()
        service = self.teacher(teacher, *self.data, "--cache-dir", self.path("cache"))
        run_id = run("distillery", "submit", spec, *self.data, "--coordinator",
                     coordinator.address).stdout.strip()
        # The pictures come to it from the teacher, in the size in which they are stored.
        worker = self.worker("without", coordinator.address, service.address)
        done = self.finish(run_id, coordinator.address)
        self.assertIn("came from the teacher", worker.log())
        self.assertEqual(done["state"], "RUN_STATE_SUCCEEDED")
        for key in ("weights_sha256", "initial_weights_sha256", "dataset_digest", "teacher_digest",
                    "latest_evaluation"):
            self.assertEqual(done[key], expected[key], key)
        return done, service

    def evaluated_as(self, done, model, teacher):
        """`evaluate` makes the figures of the run."""
        figures = json.loads(run("distillery", "evaluate", model, "--dataset", "bars", *self.data,
                                 "--teacher", teacher, "--json").stdout)
        for key in ("correct_count", "agreement_count", "sample_count"):
            self.assertEqual(int(figures[key]), int(done["latest_evaluation"][key]), key)

    def test_a_student_that_takes_smaller_pictures_than_its_teacher(self):
        teacher = self.train_teacher(LARGE)
        done, _ = self.same_in_one_process_and_on_services(teacher,
                                                           self.spec(teacher, SMALL, [6, 4]))
        student = self.path("one/student.pt")
        self.evaluated_as(done, student, teacher)
        card = run("distillery", "model", "show", student).stdout
        self.assertIn("3 x 6 x 4", card)
        # A sample of the data set is shrunk for it as in training.
        predictions = json.loads(run("distillery", "predict", "--model", student, "--dataset",
                                     "bars", "--index", 0, *self.data, "--json").stdout)
        self.assertEqual(len(predictions), 1)

    def test_a_student_that_takes_larger_pictures_than_its_teacher(self):
        teacher = self.train_teacher(SMALL, "--picture", "6x4")
        done, service = self.same_in_one_process_and_on_services(teacher,
                                                                 self.spec(teacher, LARGE, []))
        self.evaluated_as(done, self.path("one/student.pt"), teacher)
        answer = json.loads(run("distillery", "query", "--teacher", service.address, "--dataset",
                                "bars", "--index", 0, *self.data, "--json").stdout)
        self.assertTrue(answer)

    def test_larger_pictures_than_those_of_the_data_are_refused_before_the_run(self):
        done = self.train_teacher("588-16-4", "--picture", "14x14", check=False)
        self.assertNotEqual(done.returncode, 0)
        for text in ("student.picture", "12 x 12 are not grown to 14 x 14", "dataset.json"):
            self.assertIn(text, done.stderr)
        done = self.train_teacher(SMALL, "--picture", "6", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("HEIGHTxWIDTH", done.stderr)


if __name__ == "__main__":
    unittest.main()
