#!/usr/bin/python3
"""Makes tar archives of many small samples, for open_dataset.

    tests/benchmarks/make_archive.py --samples 1000000 FOLDER
    build/release/bin/open_dataset --folder FOLDER --dataset archived
"""

import argparse
import io
import os
import tarfile

import numpy


def add(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def write(path, samples):
    random = numpy.random.default_rng(1)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for i in range(samples):
            buffer = io.BytesIO()
            numpy.save(buffer, random.random(16, dtype=numpy.float32))
            add(archive, f"{i // 10000:04}/{i:08}.npy", buffer.getvalue())
            add(archive, f"{i // 10000:04}/{i:08}.cls", str(i % 10).encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--samples", type=int, default=1_000_000)
    arguments = parser.parse_args()
    folder = os.path.join(arguments.folder, "archived")
    os.makedirs(folder, exist_ok=True)
    write(os.path.join(folder, "train-000000.tar"), arguments.samples)
    write(os.path.join(folder, "test-000000.tar"), 1000)


if __name__ == "__main__":
    main()
