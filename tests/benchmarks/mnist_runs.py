"""Runs on real services for the benchmarks of MNIST students."""
import json
import math
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("DISTILLERY_BIN", os.path.join(ROOT, "build/release/bin"))
# Student's t, two-sided 95 %, by degrees of freedom.
T95 = [0, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]


def mean_and_interval(values):
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, float("nan")
    variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
    return mean, T95[min(len(values) - 1, 10)] * math.sqrt(variance / len(values))


class Services:
    """A teacher, a coordinator and workers on free loopback ports."""

    def __init__(self, folder, arguments):
        self.folder = folder
        self.children = []
        data = ["--data-dir", arguments.data_dir]
        teacher = self.listen("teacher_service", "--model", arguments.teacher, *data)
        self.coordinator = self.listen("coordinator", "--state-dir", folder + "/state")
        for index in range(arguments.workers):
            self.start("student_worker", "--name", f"worker-{index}", "--coordinator",
                       self.coordinator, "--teacher", teacher, *data)

    def start(self, program, *arguments):
        with open(f"{self.folder}/{program}.log", "a") as log:
            self.children.append(subprocess.Popen([os.path.join(BIN, program), *arguments],
                                                  stdout=log, stderr=log))

    def listen(self, program, *arguments):
        file = f"{self.folder}/{program}.address"
        self.start(program, *arguments, "--listen", "127.0.0.1:0", "--address-file", file)
        while not os.path.exists(file) or not open(file).read().endswith("\n"):
            if self.children[-1].poll() is not None:
                sys.exit(open(f"{self.folder}/{program}.log").read())
            time.sleep(0.05)
        return open(file).read().strip()

    def stop(self):
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            child.wait()

    def command(self, *arguments):
        return subprocess.run([os.path.join(BIN, "distillery"), *arguments, "--coordinator",
                               self.coordinator], stdout=subprocess.PIPE, text=True,
                              check=True).stdout


def errors_of(services, run_id):
    run = json.loads(services.command("watch", run_id, "--json"))["run"]
    metrics = run["latest_evaluation"]
    return int(metrics["sample_count"]) - int(metrics["correct_count"])


def add_arguments(parser):
    parser.add_argument("--teacher", required=True, help="TorchScript file of an MNIST teacher")
    parser.add_argument("--data-dir", default="data", help="folder that holds mnist/")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)


def submit(services, folder, text):
    path = f"{folder}/spec.yaml"
    with open(path, "w") as file:
        file.write(text)
    return services.command("submit", path).strip()
