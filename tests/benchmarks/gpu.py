#!/usr/bin/python3
"""What a teacher service gets out of a GPU, against a bare LibTorch forward on the same card.

For each model and precision: rows per second of streams and queries through gRPC beside a bare forward
loop, alternating; the latency of one row alone and beside a full stream; how far logits are from float64
on the CPU; and how busy nvidia-smi saw the card meanwhile. A table goes to standard error, JSON to
standard output. The goal is 0.95 of the bare forward.

  tests/benchmarks/gpu.py > gpu.json
  tests/benchmarks/gpu.py --device cpu --quick --model mlp     see that it works, without a GPU
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

PROGRAMS = pathlib.Path(os.environ.get("DISTILLERY_BIN", "build/gpu/bin"))
GOAL = 0.95
# Name, model, classes, top-k (0: float32 logits).
CASES = (("mlp", "mlp:784-1200-1200-10", 10, 0),
         ("resnet50, 224 x 224, float32", "resnet50", 1000, 0),
         ("resnet50, 224 x 224, top-16", "resnet50", 1000, 16))
PRECISIONS = ("float32", "bfloat16")


class Utilisation:
    """Asks nvidia-smi every second how busy the cards are, while it is entered."""

    def __init__(self):
        self.program = shutil.which("nvidia-smi")
        self.samples = []
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.sample)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def sample(self):
        while self.program and not self.done.wait(1):
            asked = subprocess.run([self.program, "--query-gpu=utilization.gpu",
                                    "--format=csv,noheader,nounits"],
                                   capture_output=True, text=True, check=False)
            busy = [int(word) for word in asked.stdout.split() if word.isdigit()]
            if busy:
                self.samples.append(max(busy))

    def report(self):
        """Percent of the time that a kernel ran on the busiest card, or None."""
        if not self.samples:
            return None
        ordered = sorted(self.samples)
        return {"median_percent": ordered[len(ordered) // 2], "most_percent": ordered[-1]}


def measure(arguments, case, precision):
    name, model, classes, top_k = case
    command = [PROGRAMS / "teacher_throughput", "--device", arguments.device,
               "--precision", precision, "--models", model, "--classes", str(classes),
               "--seconds", str(arguments.seconds), "--rounds", str(arguments.rounds)]
    for clients in arguments.clients:
        command += ["--clients", str(clients)]
    if top_k:
        command += ["--top-k", str(top_k)]
    if arguments.quick:
        command.append("--quick")
    with Utilisation() as utilisation:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"gpu.py: {name}, {precision}: teacher_throughput ended with {done.returncode}")
    report = json.loads(done.stdout)
    (figures,) = report["models"]
    figures.update(case=name, precision=precision, device=report["device"],
                   utilisation=utilisation.report())
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cpu, cuda or cuda:N")
    parser.add_argument("--seconds", type=float, default=2, help="per measurement")
    parser.add_argument("--rounds", type=int, default=5, help="of all loads in turn")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16],
                        help="that query at once")
    parser.add_argument("--quick", action="store_true", help="small images, short measurements")
    parser.add_argument("--model", choices=("mlp", "resnet50"), help="only this one")
    arguments = parser.parse_args()
    # A quick look shows each case and each precision, not each pair.
    figures = [measure(arguments, case, precision) for case in CASES for precision in PRECISIONS
               if case[0].startswith(arguments.model or "") and
               (not arguments.quick or case is CASES[0] or precision == PRECISIONS[0])]
    below = []
    for case in figures:
        for load in case["loads"]:
            on_cpu = arguments.device == "cpu"
            ratio = load.get("ratio" if on_cpu else "wall_ratio")
            if "goal" in load and ratio < GOAL:
                below.append(f"{case['case']}, {case['precision']}, {load['load']}: {ratio:.3f}")
    print("\n".join(["below the goal of 0.95 of the bare forward:", *below] if below
                    else ["all loads reach 0.95 of the bare forward"]), file=sys.stderr)
    print(json.dumps({"goal": GOAL, "cases": figures, "below_goal": below}, indent=2))


if __name__ == "__main__":
    main()
