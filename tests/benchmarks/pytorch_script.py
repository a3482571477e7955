#!/usr/bin/python3
"""Wall seconds of Distillery against a plain PyTorch script, to as many epochs of the same distillation.

Both distil mlp:784-800-800-10 from the same MNIST teacher: batches of 128, SGD with momentum and a cosine
schedule, test errors counted after each epoch. The script (pytorch_distillation.py) runs with its
defaults, and at the best of a search over OMP_WAIT_POLICY, torch's threads, preloaded tensors and
stored teacher logits. Ours is `distillery run` from an empty folder with one and two compute_threads,
and a teacher, a coordinator and a worker as services. Processes are timed from start to end, in turn;
ratios are medians of those of each repetition, and the CPU seconds of all processes stand beside them.
Goals: at most half of the default script's seconds, and fewer than the best's. JSON on standard output.

  tests/benchmarks/pytorch_script.py --data-dir data
  tests/benchmarks/pytorch_script.py --data-dir data --teacher runs/mnist/teacher.pt --epochs 10
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from mnist_runs import BIN, ROOT, Services

SCRIPT = os.path.join(ROOT, "tests/benchmarks/pytorch_distillation.py")
SPEC = """name: pytorch-script
dataset: {{name: mnist, shard_size: 2000}}
teacher: {{model: {teacher}}}
student: {{architecture: "mlp:784-800-800-10"}}
loss: {{alpha: 0.9, temperature: 4}}
training:
  rounds: {epochs}
  local_epochs: 1
  batch_size: 128
  learning_rate: 0.05
  schedule: cosine
compute_threads: {threads}
"""


def note(text):
    print(text, file=sys.stderr, flush=True)


def cpu_seconds():
    """Of the processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measured(way):
    """What `way` says, with the CPU seconds of its processes."""
    start = cpu_seconds()
    result = way()
    return {**result, "cpu_seconds": cpu_seconds() - start}


class Benchmark:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.folder = folder
        self.teacher = os.path.abspath(arguments.teacher or self.train_teacher())
        self.runs = 0

    def train_teacher(self):
        path = self.folder + "/teacher.pt"
        note("training the teacher")
        subprocess.run([BIN + "/distillery", "train-teacher", "--dataset", "mnist", "--data-dir",
                        self.arguments.data_dir, "--architecture", "mlp:784-1200-1200-10",
                        "--epochs", str(self.arguments.teacher_epochs), "--output", path],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return path

    def script(self, setting):
        """The PyTorch script as a process of its own; `setting` as made by settings()."""
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("OMP_", "OPENBLAS_", "MKL_", "DISTILLERY_"))}
        if setting.get("policy"):
            environment["OMP_WAIT_POLICY"] = setting["policy"]
        command = ["/usr/bin/python3", SCRIPT, "--teacher", self.teacher, "--data-dir",
                   self.arguments.data_dir, "--epochs", str(self.arguments.epochs)]
        if setting.get("threads"):
            command += ["--threads", str(setting["threads"])]
        command += [flag for flag in ("--preload", "--stored-logits") if setting.get(flag)]
        start = time.time()
        output = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True).stdout
        seconds = time.time() - start
        report = json.loads(output)
        return {"seconds": seconds, "errors": [epoch["errors"] for epoch in report["epochs"]],
                "threads": report["threads"]}

    def spec(self, threads):
        path = f"{self.folder}/spec-{threads}.yaml"
        with open(path, "w") as file:
            file.write(SPEC.format(teacher=self.teacher, epochs=self.arguments.epochs,
                                   threads=threads))
        return path

    def fresh_folder(self):
        self.runs += 1
        folder = f"{self.folder}/run-{self.runs}"
        os.mkdir(folder)
        return folder

    def in_process(self, threads):
        """distillery run, its cache cold."""
        path, folder = self.spec(threads), self.fresh_folder()
        start = time.time()
        output = subprocess.run([BIN + "/distillery", "run", path, "--data-dir",
                                 self.arguments.data_dir, "--output", folder, "--json"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        return self.result(time.time() - start, output.stdout)

    def services(self):
        """A teacher, a coordinator and a worker, each a process."""
        path = self.spec(threads=1)
        arguments = argparse.Namespace(data_dir=self.arguments.data_dir, teacher=self.teacher,
                                       workers=1)
        start = time.time()
        services = Services(self.fresh_folder(), arguments)
        try:
            run_id = services.command("submit", path).strip()
            output = services.command("watch", run_id, "--json")
            return self.result(time.time() - start, output)
        finally:
            services.stop()

    @staticmethod
    def result(seconds, output):
        response = json.loads(output)
        rounds = response.get("rounds", [])
        errors = [int(r["evaluation"]["sample_count"]) - int(r["evaluation"]["correct_count"])
                  for r in rounds]
        sums = {name: round(sum(r["train"][name] for r in rounds), 3)
                for name in ("seconds", "teacher_wait_seconds", "data_wait_seconds")}
        return {"seconds": seconds, "errors": errors, "train": sums}

    def search(self):
        """The script's best setting: thread policy and threads first, then what else it needs."""
        tried = []

        def measure(setting):
            result = measured(lambda: self.script(setting))
            tried.append({**setting, "seconds": round(result["seconds"], 2),
                          "cpu_seconds": round(result["cpu_seconds"], 2),
                          "errors": result["errors"]})
            note(f"  {tried[-1]}")

        for policy in (None, "PASSIVE"):
            for threads in (1, 2):
                measure({"policy": policy, "threads": threads, "--preload": True,
                         "--stored-logits": True})
        fastest = min(tried, key=lambda row: row["seconds"])
        setting = {"policy": fastest["policy"], "threads": fastest["threads"]}
        measure({**setting, "--preload": True, "--stored-logits": False})
        measure({**setting, "--preload": False, "--stored-logits": False})
        best = min(tried, key=lambda row: row["seconds"])
        return {key: best[key] for key in ("policy", "threads", "--preload",
                                           "--stored-logits")}, tried


def summary(name, results, goal_of=None, goals=()):
    row = {"name": name, "seconds": round(statistics.median(r["seconds"] for r in results), 2),
           "cpu_seconds": round(statistics.median(r["cpu_seconds"] for r in results), 2),
           "seconds_of_each": [round(r["seconds"], 2) for r in results],
           "final_errors": [r["errors"][-1] for r in results],
           "errors_by_epoch": results[0]["errors"]}
    for key in ("threads", "train"):
        if key in results[-1]:
            row[key] = results[-1][key]
    for other in goals:
        row["to_" + other] = round(statistics.median(
            mine["seconds"] / theirs["seconds"]
            for mine, theirs in zip(results, goal_of[other])), 3)
    note(f"{name:28} {row['seconds']:7.2f} s  CPU {row['cpu_seconds']:7.2f} s  "
         f"{row['final_errors']} errors  "
         + "  ".join(f"{key} {value}" for key, value in row.items() if key.startswith("to_")))
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", help="TorchScript file of an MNIST teacher; else one is trained")
    parser.add_argument("--teacher-epochs", type=int, default=3)
    parser.add_argument("--data-dir", default="data", help="folder that holds mnist/")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="distillery-pytorch-") as folder:
        benchmark = Benchmark(arguments, folder)
        note("searching the script's best setting")
        best, tried = benchmark.search()
        ways = {
            "script_default": lambda: benchmark.script({}),
            "script_best": lambda: benchmark.script(best),
            "distillery_run_1_thread": lambda: benchmark.in_process(1),
            "distillery_run_2_threads": lambda: benchmark.in_process(2),
            "services_1_thread": benchmark.services,
        }
        results = {name: [] for name in ways}
        for _ in range(arguments.repeats):
            for name, way in ways.items():
                results[name].append(measured(way))
                note(f"  {name}: {results[name][-1]['seconds']:.2f} s")
    rows = []
    for name in ways:
        goals = () if name.startswith("script") else ("script_default", "script_best")
        rows.append(summary(name, results[name], results, goals))
    print(json.dumps({"epochs": arguments.epochs, "repeats": arguments.repeats,
                      "goals": {"to_script_default": 0.5, "to_script_best": 1},
                      "script_best_setting": best, "search": tried, "ways": rows}, indent=2))


if __name__ == "__main__":
    main()
