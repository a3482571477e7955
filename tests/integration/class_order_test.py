#!/usr/bin/env python3
"""Classes are told apart by number: files and data that name them unlike are refused everywhere."""

import json
import os
import sys
import unittest

from pictures import write_npy_dataset
from services import ServiceTestCase, run, wait_for

try:
    import torch
except ImportError as error:
    print(f"skipped: {error}; install python3-torch")
    sys.exit(77)

NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"]
# The third and the fifth.
OTHER_ORDER = ["ant", "bee", "eel", "dog", "cat", "fox", "gnu"]
OTHER_NAMES = ["ant", "bee", "cow", "dog", "eel", "fox", "gnu"]
NUMBERS = [str(i) for i in range(len(NAMES))]


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(144, len(NAMES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.flatten(x, 1))


class ClassOrderTest(ServiceTestCase):
    def setUp(self):
        super().setUp()
        torch.manual_seed(3)
        write_npy_dataset(self.path("data/zoo"), len(NAMES))
        self.write("data/zoo/classes.txt", "\n".join(NAMES) + "\n")

    def model(self, file, names):
        card = {"format": 1, "input_shape": [1, 12, 12], "mean": [0.3], "deviation": [0.25],
                "class_names": names, "output": "logits"}
        torch.jit.script(Linear()).save(self.path(file),
                                        _extra_files={"distillery.json": json.dumps(card)})
        return self.path(file)

    def spec(self, teacher="", student='architecture: "mlp:144-7"', file="run.yaml"):
        return self.write(file, f"""\
name: zoo
dataset: {{name: zoo, shard_size: 60}}
student: {{{student}}}
teacher: {{model: "{teacher}"}}
loss: {{alpha: {0.5 if teacher else 0}, temperature: 2}}
training: {{rounds: 1, replicas: 1, local_epochs: 1, batch_size: 20, learning_rate: 0.02}}
""")

    def data(self):
        return ("--data-dir", self.path("data"))

    def in_one_process(self, spec, check=True):
        return run("distillery", "run", spec, *self.data(), "--output", self.path("out"),
                   check=check)

    def assert_refused(self, done, owner, code=1):
        self.assertEqual(done.returncode, code, done.stderr)
        line = done.stderr.splitlines()[-1]
        for part in (owner, "the same classes in another order", "class 2 is", '"eel" to',
                     "(ant, bee, eel, dog, cat, fox, gnu)", "(ant, bee, cat, dog, eel, fox, gnu)"):
            self.assertIn(part, line)

    def test_run_and_submit_refuse_a_teacher_of_another_order_or_other_names(self):
        spec = self.spec(self.model("teacher.pt", OTHER_ORDER))
        self.assert_refused(self.in_one_process(spec, check=False), "teacher teacher.pt")
        self.assertFalse(os.path.exists(self.path("out")))
        self.assert_refused(run("distillery", "submit", spec, *self.data(), "--coordinator",
                                "127.0.0.1:9", check=False), "teacher teacher.pt")
        done = self.in_one_process(self.spec(self.model("teacher.pt", OTHER_NAMES)), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('have unlike classes: class 2 is "cow"', done.stderr)

    def test_a_query_about_a_sample_compares_the_names_of_its_label(self):
        for file, names in (("numbered.pt", NUMBERS), ("wrong.pt", OTHER_ORDER)):
            served = self.listen(file, "teacher_service", "--model", self.model(file, names))
            wait_for("the teacher", lambda: "listens on" in served.log())
            done = run("distillery", "query", "--index", 3, "--dataset", "zoo", *self.data(),
                       "--teacher", served.address, check=False)
            if names is NUMBERS:
                self.assertEqual(done.returncode, 0, done.stderr)
            else:
                self.assert_refused(done, "data set zoo", code=2)

    def test_a_teacher_service_refuses_data_of_another_order(self):
        # The submitter has neither the teacher's file nor the data.
        coordinator = self.coordinator()
        served = self.teacher(self.model("teacher.pt", OTHER_ORDER), *self.data())
        self.worker("worker", coordinator.address, served.address, *self.data())
        done = run("distillery", "submit", self.spec("elsewhere.pt"), "--wait", "--coordinator",
                   coordinator.address, check=False)
        self.assert_refused(done, "teacher teacher")

    def test_evaluate_refuses_models_and_teachers_that_name_classes_unlike(self):
        good = self.model("good.pt", NAMES)
        wrong = self.model("wrong.pt", OTHER_ORDER)
        numbered = self.model("numbered.pt", NUMBERS)
        evaluate = ("distillery", "evaluate")
        data = ("--dataset", "zoo", *self.data())
        self.assert_refused(run(*evaluate, wrong, *data, check=False), "wrong.pt", code=2)
        self.assert_refused(run(*evaluate, good, "--teacher", wrong, *data, check=False),
                            "wrong.pt", code=2)
        run(*evaluate, numbered, "--teacher", good, *data)
        # Data without names fit both, but they do not fit each other.
        os.remove(self.path("data/zoo/classes.txt"))
        run(*evaluate, good, *data)
        run(*evaluate, wrong, *data)
        self.assert_refused(run(*evaluate, good, "--teacher", wrong, *data, check=False),
                            "wrong.pt", code=2)

    def test_students_and_initial_weights_with_cards_are_compared_too(self):
        wrong = self.model("wrong.pt", OTHER_ORDER)
        done = self.in_one_process(self.spec(student=f'model: "{wrong}"'), check=False)
        self.assert_refused(done, "student wrong.pt")
        linear = self.model("linear.pt", NUMBERS)
        student = f'model: "{linear}", initial_weights: "{wrong}"'
        done = self.in_one_process(self.spec(student=student), check=False)
        self.assert_refused(done, "student.initial_weights wrong.pt")
        # Where the data are elsewhere, the files are compared with each other.
        done = run("distillery", "submit", self.spec(self.model("teacher.pt", NAMES), student),
                   "--coordinator", "127.0.0.1:9", check=False)
        self.assert_refused(done, "student.initial_weights wrong.pt")
        # Weights alone name nothing.
        run("distillery", "export", "--model", wrong, "--output", self.path("wrong.safetensors"))
        self.in_one_process(self.spec(student=student.replace("wrong.pt", "wrong.safetensors")))

    def test_an_experiment_refuses_a_teacher_of_another_order(self):
        done = run("distillery", "experiment", "sweep", "--dataset", "zoo", *self.data(),
                   "--seeds", 2, "--workers", 1, "--teacher",
                   self.model("teacher.pt", OTHER_ORDER), "--output", self.path("lab"), check=False)
        self.assert_refused(done, "teacher.pt", code=2)

    def test_numbers_are_no_names(self):
        finished = self.in_one_process(self.spec(self.model("teacher.pt", NUMBERS)))
        self.assertIn("accuracy", finished.stdout)


if __name__ == "__main__":
    unittest.main()
