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
import sys
import tempfile
import time

from mnist_runs import Services, add_arguments, errors_of, mean_and_interval, submit

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


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--student", default="mlp:784-100-10")
    parser.add_argument("--temperature", type=float, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    start = time.time()
    with tempfile.TemporaryDirectory(prefix="distillery-encodings-") as folder:
        services = Services(folder, arguments)
        try:
            ids = {}
            for seed in range(1, arguments.seeds + 1):
                for name, soft_targets, _ in ENCODINGS:
                    ids[name, seed] = submit(services, folder, SPEC.format(
                        name=f"{name.replace(' + ', '-')}-{seed}", seed=seed,
                        student=arguments.student, temperature=arguments.temperature,
                        soft_targets=soft_targets, rounds=arguments.epochs // 2, local_epochs=2))
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
