#!/usr/bin/python3
"""Whether averaging the weights of replicas costs an MNIST student anything.

Trains the same student for the same epochs as one replica and as four, on real services. Each takes its
best learning rate of one grid, chosen with the first seed on the validation fifth of the training
split; then several seeds are trained on the whole of it. Prints test errors and the paired difference
with its 95 % interval. JSON on standard output.

  tests/benchmarks/replicas.py --teacher runs/mnist/teacher.pt --data-dir data
"""
import argparse
import json
import subprocess
import sys
import tempfile
import time

from mnist_runs import Services, add_arguments, errors_of, mean_and_interval, submit

REPLICAS = (1, 4)
SAMPLES = {"train": 60000, "fit": 48000}
RATES = (0.025, 0.05)
SPEC = """name: {name}
seed: {seed}
dataset: {{name: mnist, shard_size: 500, train_split: {train}, evaluation_split: {test}}}
student: {{architecture: "{student}"}}
loss: {{alpha: 0.9, temperature: 4}}
training:
  rounds: {rounds}
  replicas: {replicas}
  {local}
  batch_size: {batch_size}
  learning_rate: {rate}
  schedule: cosine
  optimizer_state: {state}
evaluation: {{every_rounds: 0}}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--student", default="mlp:784-800-800-10")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--averages", type=int, default=1, help="of four replicas, per epoch")
    parser.add_argument("--optimizer-state", default="average", choices=("reset", "average"))
    arguments = parser.parse_args()
    start = time.time()
    with tempfile.TemporaryDirectory(prefix="distillery-replicas-") as folder:
        services = Services(folder, arguments)

        def begin(replicas, rate, seed, train="train", test="test"):
            averages = arguments.averages if replicas > 1 else 1
            local = "local_epochs: 1"
            if averages > 1:
                samples = SAMPLES[train] / replicas / averages
                local = f"local_steps: {round(samples / arguments.batch_size)}"
            return submit(services, folder, SPEC.format(
                name=f"replicas-{replicas}", seed=seed, train=train, test=test, rate=rate,
                replicas=replicas, student=arguments.student, local=local,
                rounds=arguments.epochs * averages,
                batch_size=arguments.batch_size, state=arguments.optimizer_state))

        try:
            grid = {(k, rate): begin(k, rate, 1, "fit", "validation")
                    for k in REPLICAS for rate in RATES}
            for key, run_id in grid.items():
                try:
                    grid[key] = errors_of(services, run_id)
                except subprocess.CalledProcessError:  # it pauses when its loss is not finite
                    grid[key] = float("inf")
                print(f"{key[0]} replicas, rate {key[1]}: {grid[key]} errors of validation",
                      file=sys.stderr)
            rates = {k: min(RATES, key=lambda rate: grid[k, rate]) for k in REPLICAS}
            ids = {(k, seed): begin(k, rates[k], seed)
                   for seed in range(1, arguments.seeds + 1) for k in REPLICAS}
            errors = {}
            for (k, seed), run_id in ids.items():
                errors.setdefault(k, []).append(errors_of(services, run_id))
                print(f"{k} replicas, seed {seed}: {errors[k][-1]} errors", file=sys.stderr)
        finally:
            services.stop()
    one, many = (errors[k] for k in REPLICAS)
    difference, interval = mean_and_interval([b - a for a, b in zip(one, many)])
    mean = sum(one) / len(one)
    print(json.dumps({
        "student": arguments.student, "epochs": arguments.epochs, "seeds": arguments.seeds,
        "wall_seconds": round(time.time() - start, 1),
        "validation_errors": [{"replicas": k, "learning_rate": rate, "errors": count}
                              for (k, rate), count in grid.items()],
        "learning_rates": rates, "errors": errors, "mean_errors_of_one": mean,
        "difference": difference, "interval_95": interval,
        "difference_percent": round(100 * difference / mean, 2)}, indent=2))


if __name__ == "__main__":
    main()
