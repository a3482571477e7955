#!/usr/bin/python3
"""What each encoding of soft targets does to an MNIST student.

Trains the same student from the same teacher with float32, float16, int8 and top-3 + tail targets, on
real services, with several seeds, and prints test errors, the paired difference to float32 with its
95 % interval, and the bytes that each sample's targets take on the wire. JSON on standard output.

  tests/benchmarks/encodings.py --teacher runs/mnist/teacher.pt --data-dir data
  tests/benchmarks/encodings.py --teacher runs/mnist/teacher.pt --data-dir data --seeds 2 --epochs 4
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("DISTILLERY_BIN", os.path.join(ROOT, "build/release/bin"))
# Name, lines of the RunSpec, bytes of one sample's targets of 10 classes.
ENCODINGS = [
    ("float32", "{encoding: float32}", 40),
    ("float16", "{encoding: float16}", 20),
    ("int8", "{encoding: int8}", 10 + 4),
    ("top-3 + tail", "{encoding: top_k, top_k: 3}", 3 * (2 + 2) + 2),
]
SPEC = """name: {name}
seed: {seed}
dataset: {{name: mnist, shard_size: 2000}}
student: {{architecture: "{student}"}}
loss: {{alpha: 0.9, temperature: {temperature}}}
soft_targets: {soft_targets}
training:
  rounds: {rounds}
  replicas: 2
  local_epochs: {local_epochs}
  batch_size: 128
  learning_rate: 0.05
  schedule: cosine
evaluation: {{every_rounds: 0}}
"""
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


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True, help="TorchScript file of an MNIST teacher")
    parser.add_argument("--data-dir", default="data", help="folder that holds mnist/")
    parser.add_argument("--student", default="mlp:784-100-10")
    parser.add_argument("--temperature", type=float, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    start = time.time()
    with tempfile.TemporaryDirectory(prefix="distillery-encodings-") as folder:
        services = Services(folder, arguments)
        try:
            ids = {}
            for seed in range(1, arguments.seeds + 1):
                for name, soft_targets, _ in ENCODINGS:
                    path = f"{folder}/spec.yaml"
                    with open(path, "w") as file:
                        file.write(SPEC.format(
                            name=f"{name.replace(' + ', '-')}-{seed}", seed=seed,
                            student=arguments.student, temperature=arguments.temperature,
                            soft_targets=soft_targets, rounds=arguments.epochs // 2,
                            local_epochs=2))
                    ids[name, seed] = services.command("submit", path).strip()
            errors = {}
            for (name, seed), run_id in ids.items():
                errors.setdefault(name, []).append(errors_of(services, run_id))
                print(f"{name} seed {seed}: {errors[name][-1]} errors", file=sys.stderr)
        finally:
            services.stop()
    rows = []
    for name, _, row_bytes in ENCODINGS:
        mean, _ = mean_and_interval(errors[name])
        differences = [a - b for a, b in zip(errors[name], errors["float32"])]
        difference, interval = mean_and_interval(differences)
        rows.append({"encoding": name, "bytes_per_sample": row_bytes, "errors": errors[name],
                     "mean_errors": mean, "difference_to_float32": difference,
                     "interval_95": interval})
        print(f"{name:14} {row_bytes:3} bytes/sample  {mean:7.1f} errors  "
              f"{difference:+6.1f} +- {interval:.1f}", file=sys.stderr)
    print(json.dumps({"student": arguments.student, "temperature": arguments.temperature,
                      "seeds": arguments.seeds, "epochs": arguments.epochs,
                      "wall_seconds": round(time.time() - start, 1), "encodings": rows}, indent=2))


if __name__ == "__main__":
    main()
