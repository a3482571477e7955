"""Real processes for integration tests: programs of the build, started on free loopback ports."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("DISTILLERY_BIN", os.path.join(SOURCE, "build", "release", "bin"))
PATIENCE = 120  # seconds before a wait is given up: far above what a busy machine needs


def program(name):
    return os.path.join(BIN, name)


def run(*arguments, check=True, timeout=PATIENCE, **options):
    """Runs a program to its end; returns the finished process with text output."""
    done = subprocess.run([program(arguments[0]), *map(str, arguments[1:])], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                          **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stderr}")
    return done


def wait_for(what, condition, patience=PATIENCE):
    """Polls until `condition` gives something true, and returns that."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"gave up waiting for {what}")


def imported(name):
    """Names of our protos that the proto `name` imports."""
    with open(f"{SOURCE}/proto/distillery/v1/{name}.proto", encoding="utf-8") as file:
        return re.findall(r'^import (?:public )?"distillery/v1/(\w+)\.proto";', file.read(), re.M)


def add_stubs(folder, *names):
    """Makes Python modules of our protos `names`, such as "tensor", and of all that these import,
    directly or through others; Python finds them in `folder`."""
    files, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in files:
            files.add(name)
            waiting += imported(name)
    subprocess.run(["protoc", f"-I{SOURCE}/proto", f"--python_out={folder}",
                    f"--grpc_python_out={folder}",
                    "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin",
                    *(f"distillery/v1/{name}.proto" for name in sorted(files))], check=True)
    sys.path.insert(0, folder)


class Process:
    """One running program, with its output in a log file."""

    def __init__(self, folder, label, *arguments, environment=None):
        """`environment`: set on top of this process's own."""
        self.label = label
        self.log_path = os.path.join(folder, label + ".log")
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen([program(arguments[0]), *map(str, arguments[1:])],
                                          stdout=log, stderr=log,
                                          env={**os.environ, **(environment or {})})

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def terminate(self):
        """SIGTERM; returns the exit code."""
        if self.child.poll() is None:
            self.child.terminate()
        return self.child.wait(timeout=PATIENCE)


class ServiceTestCase(unittest.TestCase):
    """Gives each test a folder, and ends the processes that it started."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="distillery-")
        self.processes = []

    def tearDown(self):
        result = self._outcome.result
        # The outcome of this test or of its parts (subTest).
        failed = any(self in (test, getattr(test, "test_case", None))
                     for test, _ in result.failures + result.errors)
        for process in reversed(self.processes):
            if process.child.poll() is None:
                process.kill()
            if failed:
                print(f"--- {process.label}\n{process.log()[-30000:]}", file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def start(self, label, *arguments, environment=None):
        process = Process(self.folder, label, *arguments, environment=environment)
        self.processes.append(process)
        return process

    def listen(self, label, *arguments, at="127.0.0.1:0", environment=None):
        """Starts a server, on a free port unless told `at` which; returns the process, with its
        `address`."""
        file = self.path(label + ".address")
        if os.path.exists(file):
            os.remove(file)
        process = self.start(label, *arguments, "--listen", at, "--address-file", file,
                             environment=environment)

        def address():
            if process.child.poll() is not None:
                raise AssertionError(f"{label} ended:\n{process.log()}")
            if not os.path.exists(file):
                return ""
            with open(file) as written:
                return written.read().strip()

        process.address = wait_for(label + " to listen", address)
        return process

    def coordinator(self, *arguments, **options):
        return self.listen("coordinator", "coordinator", "--state-dir", self.path("state"),
                           *arguments, **options)

    def teacher(self, model, *arguments):
        process = self.listen("teacher", "teacher_service", "--model", model, *arguments)
        wait_for("the teacher to be warm", lambda: "listens on" in process.log())
        return process

    def worker(self, name, coordinator, teacher="", *arguments, environment=None):
        return self.start(name, "student_worker", "--name", name, "--coordinator", coordinator,
                          "--teacher", teacher, *arguments, environment=environment)

    def record(self, query):
        """Rows of the coordinator's record."""
        path = self.path("state/record.sqlite3")
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as database:
            return database.execute(query).fetchall()

    def endless_model(self):
        """A model whose first answer, which belongs to its loading, never comes."""
        try:
            import torch
        except ImportError as error:
            self.skipTest(f"{error}; install python3-torch")
        source = ("def forward(self, x):\n"
                  "    y = torch.flatten(x, 1)\n"
                  "    while bool(y.sum() == y.sum()):\n"
                  "        y = y * 1\n"
                  "    return y\n")
        module = torch.jit.ScriptModule()
        module.define(source)
        card = {"format": 1, "input_shape": [1, 8, 8], "mean": [0], "deviation": [1],
                "class_names": [str(i) for i in range(64)], "output": "logits"}
        path = self.path("slow.pt")
        module.save(path, _extra_files={"distillery.json": json.dumps(card)})
        return path

    def submit(self, spec_path, coordinator):
        return run("distillery", "submit", spec_path, "--coordinator",
                   coordinator).stdout.strip()

    def finish(self, run_id, coordinator):
        """Waits for a run's end; returns it as a dictionary."""
        done = run("distillery", "watch", run_id, "--coordinator", coordinator, "--json")
        return json.loads(done.stdout)["run"]

    def held_while_stopped(self, worker, query):
        """Tokens of what the worker holds, which stands still then; none: it was between two tasks."""
        if not self.record(query):
            return []
        worker.signal(signal.SIGSTOP)
        # What it sent before is recorded by then.
        time.sleep(0.2)
        tokens = [token for (token,) in self.record(query)]
        if not tokens:
            worker.signal(signal.SIGCONT)
        return tokens

    def one_result_per_task(self, run_id, done):
        """Checks that of each training task of the run `done` one lease brought the result."""
        counted = self.record("SELECT round, replica, COUNT(*) FROM leases WHERE outcome='done' "
                              f"AND kind=2 AND run_id='{run_id}' GROUP BY round, replica")
        training = done["spec"]["training"]
        self.assertEqual(len(counted), training["rounds"] * training["replicas"])
        self.assertEqual({count for _, _, count in counted}, {1})


class TeacherTestCase(ServiceTestCase):
    """With a small teacher of digits in `teacher_file`, trained once for all tests of the class."""

    @classmethod
    def setUpClass(cls):
        cls.class_folder = tempfile.mkdtemp(prefix="distillery-")
        cls.teacher_file = os.path.join(cls.class_folder, "teacher.pt")
        run("distillery", "train-teacher", "--output", cls.teacher_file, "--epochs", 10,
            "--architecture", "mlp:64-128-10")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.class_folder, ignore_errors=True)
