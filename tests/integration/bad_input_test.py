#!/usr/bin/env python3
"""Bad input gives one clear line and the right exit code, and never a hang."""

import gzip
import os
import shutil
import socket
import unittest

import specs
from services import TeacherTestCase, run, wait_for


class BadInputTest(TeacherTestCase):
    def refused(self, code, expected, *arguments):
        """The program ends with `code` after one line on stderr that holds `expected`."""
        done = run(*arguments, check=False)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        # Beside it: log lines of what went well, and progress.
        lines = [line for line in done.stderr.splitlines()
                 if " I " not in line and not line.startswith("identity ")]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertIn(expected, lines[0])

    def refused_spec(self, expected, change):
        text = specs.digits(self.teacher_file)
        old, new = change
        self.assertIn(old, text)
        path = self.write("run.yaml", text.replace(old, new))
        for command in (("run",), ("submit", "--coordinator", "127.0.0.1:1")):
            self.refused(2, expected, "distillery", command[0], path, *command[1:])

    def test_run_specs_are_refused_with_file_line_and_reason(self):
        for value, shown in (("0", "0"), ("-1", "-1"), (".nan", "nan"), (".inf", "inf")):
            self.refused_spec(f"run.yaml:6: loss.temperature must be > 0",
                              ("temperature: 2", f"temperature: {value}"))
        self.refused_spec('unknown key "loss.temprature"; did you mean "loss.temperature"?',
                          ("temperature", "temprature"))
        self.refused_spec('run.yaml:8: training.rounds must be a whole number, got "many"',
                          ("rounds: 5", "rounds: many"))

    def test_unknown_flags_and_commands_are_refused_with_the_nearest(self):
        self.refused(2, "did you mean --listen", "coordinator", "--listne", "127.0.0.1:0")
        self.refused(2, 'did you mean "submit"', "distillery", "submti", "x")
        self.refused(2, "--model is required", "teacher_service")

    def test_an_unknown_dataset_fails_the_run_with_its_name(self):
        path = self.write("run.yaml", specs.digits(self.teacher_file, alpha=0).replace(
            "name: digits,", "name: digist,"))
        self.refused(1, 'unknown data set "digist"; did you mean "digits"?', "distillery", "run",
                     path, "--output", self.path("out"))

    def test_a_truncated_idx_file_is_named(self):
        os.makedirs(self.path("data/mnist"))
        # An IDX header that announces two images of 4 x 4, and half of one.
        images = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 4]) + bytes(8)
        labels = bytes([0, 0, 8, 1, 0, 0, 0, 2, 0, 1])
        for part in ("train", "t10k"):
            with open(self.path(f"data/mnist/{part}-images-idx3-ubyte"), "wb") as file:
                file.write(images)
            with gzip.open(self.path(f"data/mnist/{part}-labels-idx1-ubyte.gz"), "wb") as file:
                file.write(labels)
        self.refused(1, "train-images-idx3-ubyte has 8 bytes of elements, its header says 32",
                     "distillery", "evaluate", self.teacher_file, "--dataset", "mnist",
                     "--data-dir", self.path("data"))

    def test_a_file_that_is_no_torchscript_is_refused(self):
        path = self.write("model.pt", "not a model")
        self.refused(2, "is not a TorchScript model", "teacher_service", "--model", path,
                     "--listen", "127.0.0.1:0")
        with open(self.teacher_file, "rb") as whole:
            half = whole.read()[:20000]
        with open(self.path("half.pt"), "wb") as file:
            file.write(half)
        self.refused(2, "is not a TorchScript model", "distillery", "evaluate",
                     self.path("half.pt"))
        self.refused(1, "cannot open", "distillery", "evaluate", self.path("absent.pt"))

    def test_a_run_that_does_not_fit_its_data_is_refused_before_it_is_submitted(self):
        coordinator = self.coordinator()
        for architecture, shown in (("mlp:64-20-7", "has 7 outputs, the data has 10 classes"),
                                    ("mlp:784-10", "takes 784 inputs, the data has 1 x 8 x 8")):
            path = self.write("run.yaml", specs.digits(alpha=0, architecture=architecture))
            self.refused(2, "student.architecture: " + architecture + " " + shown, "distillery",
                         "run", path, "--output", self.path("out"))
            self.refused(2, "student.architecture: " + architecture + " " + shown, "distillery",
                         "submit", path, "--coordinator", coordinator.address)
        self.assertEqual(self.record("SELECT count(*) FROM runs"), [(0,)])

    def make_shapes(self):
        """A data set of two classes, 8 x 8, in data/shapes."""
        for split in ("train", "test"):
            for number, name in enumerate(("dark", "light")):
                folder = self.path(f"data/shapes/{split}/{name}")
                os.makedirs(folder)
                for i in range(64):
                    with open(os.path.join(folder, f"{i}.pgm"), "wb") as file:
                        file.write(b"P5 8 8 255\n" + bytes([120 * number + i]) * 64)

    def test_the_data_set_of_a_submitted_run_is_looked_for_where_it_may_be(self):
        self.make_shapes()
        coordinator = self.coordinator()
        teacher = self.teacher(self.teacher_file, "--data-dir", self.path("data"))
        at = ("--coordinator", coordinator.address)
        for data in (("--data-dir", self.path("data")), ("--teacher", teacher.address)):
            for name, architecture, code, shown in (
                    ("shpaes", "mlp:64-2", 1, 'unknown data set "shpaes"; did you mean "shapes"?'),
                    ("shapes", "mlp:64-10", 2, "has 10 outputs, the data has 2 classes")):
                path = self.write("run.yaml", specs.digits(alpha=0, architecture=architecture)
                                  .replace("name: digits,", f"name: {name},"))
                self.refused(code, shown, "distillery", "submit", path, *at, *data)
        # The teacher itself is for other classes.
        path = self.write("run.yaml", specs.digits(architecture="mlp:64-2").replace(
            "name: digits,", "name: shapes,"))
        self.refused(2, "its model teacher is for images of 1 x 8 x 8 in 10 classes, data set "
                     "shapes has images of 1 x 8 x 8 in 2 classes", "distillery", "submit", path,
                     *at, "--teacher", teacher.address)
        self.assertEqual(self.record("SELECT count(*) FROM runs"), [(0,)])
        # Nobody here knows it: it is said that the run is not checked, and by what it would be.
        done = run("distillery", "submit", path, *at, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("is not checked against data set shapes", done.stderr)
        self.assertIn("--data-dir", done.stderr)
        # What a worker alone finds pauses the run, with what can be done about it.
        self.worker("worker", coordinator.address, teacher.address)
        ended = run("distillery", "watch", done.stdout.strip(), *at, check=False)
        self.assertEqual(ended.returncode, 1)
        self.assertRegex(ended.stderr.splitlines()[-1],
                         r" paused: .*; if the RunSpec is wrong, change it and begin anew with that; "
                         r"if it is not, mend the cause, then: distillery resume ")

    def test_unknown_architectures_and_losses_are_named_with_the_nearest(self):
        self.refused_spec('loss.name has an unknown value "kld"; did you mean "kd"?',
                          ("loss: {", "loss: {name: kld, "))
        self.refused_spec('run.yaml:4: student.architecture is not valid: unknown architecture '
                          '"lennet"; did you mean "lenet"?', ("mlp:64-48-10", "lennet"))

    def test_a_loss_that_is_not_finite_pauses_the_run_and_nothing_is_averaged(self):
        path = self.write("run.yaml", specs.digits(self.teacher_file).replace(
            "learning_rate: 0.05\n", "learning_rate: 1.0e+20\n"))
        coordinator = self.coordinator()
        teacher = self.teacher(self.teacher_file)
        self.worker("worker", coordinator.address, teacher.address)
        at = ("--coordinator", coordinator.address)
        done = run("distillery", "submit", path, "--wait", *at, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        last = done.stderr.splitlines()[-1]
        self.assertIn(" paused: ", last)
        self.assertRegex(last, r"the loss is -?(nan|inf) at batch \d+ \(from shard \d+ of "
                               r"digits/train@64\) of round 0, replica \d")
        self.assertIn("lower training.learning_rate", last)
        (run_id, rounds, first, now), = self.record(
            "SELECT run_id, completed_rounds, initial_weights_sha256, weights_sha256 FROM runs")
        self.assertEqual(rounds, 0)
        self.assertEqual(first, now)
        self.assertIn(f"distillery resume {run_id}", last)
        self.assertIn("paused", run("distillery", "pause", run_id, *at).stdout)
        # It can be tried again, and ends where it did.
        self.assertIn("running", run("distillery", "resume", run_id, *at).stdout)
        done = run("distillery", "watch", run_id, *at, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cancelled", run("distillery", "cancel", run_id, *at).stdout)

    def test_a_port_in_use_is_one_clear_line(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            self.refused(1, f"cannot listen on {address}: the port is taken", "coordinator",
                         "--state-dir", self.path("state"), "--listen", address)
            self.refused(1, f"cannot listen on {address}: the port is taken", "teacher_service",
                         "--model", self.teacher_file, "--listen", address)

    def test_Fault16_a_second_coordinator_on_a_state_folder_is_refused(self):
        first = self.coordinator()
        self.refused(1, f"is in use by process {first.child.pid}", "coordinator", "--state-dir",
                     self.path("state"), "--listen", "127.0.0.1:0")

    def test_workers_wait_for_an_absent_teacher_and_say_so(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % free.getsockname()[1]
        coordinator = self.coordinator("--lease-seconds", 1)
        worker = self.worker("patient", coordinator.address, address)
        spec = self.write("run.yaml", specs.digits(self.teacher_file, rounds=1))
        run_id = self.submit(spec, coordinator.address)
        wait_for("the worker to say what it waits for",
                 lambda: f"teacher {address}" in worker.log() and "waiting" in worker.log())
        shown = wait_for("the run to say so", lambda: "waiting for teacher" in run(
            "distillery", "runs", "--json", "--coordinator", coordinator.address).stdout)
        self.assertTrue(shown)
        self.start("teacher", "teacher_service", "--model", self.teacher_file, "--listen", address)
        done = self.finish(run_id, coordinator.address)
        self.assertEqual(done["state"], "RUN_STATE_SUCCEEDED")
        self.assertEqual(int(done["lost_lease_count"]), 0)

    def test_no_coordinator_is_one_clear_line(self):
        self.refused(1, "no coordinator answers at 127.0.0.1:1", "distillery", "runs",
                     "--coordinator", "127.0.0.1:1")

    def test_an_address_without_a_port_is_said_to_be_one(self):
        for address in ("127.0.0.1", "0.0.0.0", "coordinator.example"):
            shown = f"address {address} has no port: write {address}:PORT"
            self.refused(2, shown, "coordinator", "--state-dir", self.path("state"), "--listen",
                         address)
            self.refused(2, shown, "teacher_service", "--model", self.teacher_file, "--listen",
                         address)
            self.refused(2, shown, "coordinator", "--state-dir", self.path("state"), "--listen",
                         "127.0.0.1:0", "--metrics-listen", address)
            self.refused(2, shown, "student_worker", "--coordinator", address)
            self.refused(2, shown, "distillery", "runs", "--coordinator", address)
            self.refused(2, shown, "distillery", "healthcheck", "--address", address)

    def test_addresses_beyond_loopback_ask_for_tls_or_insecure(self):
        self.refused(2, "is not loopback: give --tls-certificate", "coordinator", "--state-dir",
                     self.path("state"), "--listen", "0.0.0.0:0")
        self.refused(2, "is not loopback: give --tls-certificate", "student_worker",
                     "--coordinator", "coordinator.example:7002")
        self.refused(2, "go together", "coordinator", "--state-dir", self.path("state"),
                     "--listen", "127.0.0.1:0", "--tls-key", "x")

    def test_mnist_without_data_or_network_says_what_to_do(self):
        empty = self.path("empty")
        os.makedirs(empty)
        environment = dict(os.environ, https_proxy="http://127.0.0.1:1")
        done = run("distillery", "demo", "--dataset", "mnist", "--data-dir", empty, "--output",
                   self.path("demo"), check=False, env=environment)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot download MNIST", done.stderr)
        self.assertIn("--data-dir", done.stderr)
        shutil.rmtree(empty)


if __name__ == "__main__":
    unittest.main()
