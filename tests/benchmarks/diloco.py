#!/usr/bin/python3
"""Bytes that it takes to reach the same MNIST error: DiLoCo against FedAvg.

Trains the same student on four replicas for the same number of optimizer steps, on real services: FedAvg
(SGD inside, plain averaging) with 1, 5, 10 and 50 local steps per round, and DiLoCo (AdamW inside,
Nesterov 0.7/0.9 outside; Douillard et al. 2023) with many more. Each takes its best learning rate of one
grid, chosen with the first seed on the validation fifth of the training split; then several seeds are
trained on the whole of it. Bytes are those of the weights that each replica downloads and of the delta
that it uploads, in every round. JSON on standard output, a table on standard error.

  tests/benchmarks/diloco.py --teacher runs/mnist/teacher.pt --data-dir data
"""
import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile
import time

from mnist_runs import Services, add_arguments, errors_of, mean_and_interval, submit

REPLICAS = 4
FEDAVG_STEPS = (1, 5, 10, 50)
SGD_RATES = (0.05, 0.1, 0.2, 0.4)
ADAMW_RATES = (0.0005, 0.001, 0.002)
SPEC = """name: {name}
seed: {seed}
dataset: {{name: mnist, shard_size: 500, train_split: {train}, evaluation_split: {test}}}
student: {{architecture: "{student}"}}
loss: {{alpha: 0.9, temperature: 4}}
training:
  rounds: {rounds}
  replicas: 4
  local_steps: {steps}
  batch_size: {batch_size}
  learning_rate: {rate}
  schedule: cosine
  optimizer: {optimizer}
  momentum: 0
{outer}
evaluation: {{every_rounds: 0}}
"""
NESTEROV = "outer: {optimizer: nesterov, learning_rate: 0.7, momentum: 0.9}"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.set_defaults(seeds=3)
    parser.add_argument("--student", default="mlp:784-200-200-10")
    parser.add_argument("--total-steps", type=int, default=2000, help="of each replica")
    parser.add_argument("--diloco-steps", type=int, nargs="+", default=[500])
    parser.add_argument("--batch-size", type=int, default=64)
    arguments = parser.parse_args()
    start = time.time()
    # (method, local steps): learning rates to try
    methods = {("fedavg", steps): SGD_RATES for steps in FEDAVG_STEPS}
    methods.update({("diloco", steps): ADAMW_RATES for steps in arguments.diloco_steps})
    with tempfile.TemporaryDirectory(prefix="distillery-diloco-") as folder:
        services = Services(folder, arguments)

        def begin(method, rate, seed, train="train", test="test"):
            name, steps = method
            diloco = name == "diloco"
            return submit(services, folder, SPEC.format(
                name=f"{name}-{steps}", seed=seed, train=train, test=test, student=arguments.student,
                rounds=arguments.total_steps // steps, steps=steps, batch_size=arguments.batch_size,
                rate=rate, optimizer="adamw" if diloco else "sgd", outer=NESTEROV if diloco else ""))

        try:
            grid = {(method, rate): begin(method, rate, 1, "fit", "validation")
                    for method, rates in methods.items() for rate in rates}
            for (method, rate), run_id in grid.items():
                try:
                    grid[method, rate] = errors_of(services, run_id)
                except subprocess.CalledProcessError:  # it pauses when its loss is not finite
                    grid[method, rate] = float("inf")
                print(f"{method[0]} {method[1]}, rate {rate}: {grid[method, rate]} errors of "
                      "validation", file=sys.stderr)
            best = {method: min(rates, key=lambda rate: grid[method, rate])
                    for method, rates in methods.items()}
            ids = {(method, seed): begin(method, best[method], seed)
                   for seed in range(1, arguments.seeds + 1) for method in methods}
            errors = {}
            for (method, seed), run_id in ids.items():
                errors.setdefault(method, []).append(errors_of(services, run_id))
            # Weights and deltas have one layout, the same for all methods.
            file_bytes = os.path.getsize(glob.glob(f"{folder}/state/weights/fedavg-1-*/"
                                                   f"{arguments.total_steps:08}.safetensors")[0])
        finally:
            services.stop()
    rows = []
    for (name, steps), counts in errors.items():
        mean, interval = mean_and_interval(counts)
        rows.append({"method": name, "local_steps": steps,
                     "rounds": arguments.total_steps // steps,
                     "learning_rate": best[name, steps], "errors": counts, "mean_errors": mean,
                     "interval_95": interval,
                     "byte_count": arguments.total_steps // steps * REPLICAS * 2 * file_bytes})
        print(f"{name:7} {steps:4} steps  {mean:7.1f} +- {interval:5.1f} errors  "
              f"{rows[-1]['byte_count'] / 1e6:10.1f} MB", file=sys.stderr)
    print(json.dumps({"student": arguments.student, "total_steps": arguments.total_steps,
                      "seeds": arguments.seeds, "wall_seconds": round(time.time() - start, 1),
                      "methods": rows}, indent=2))


if __name__ == "__main__":
    main()
