#!/usr/bin/python3
"""The bytes that a language model's soft targets take for one position, on the wire and in the cache.

Serves a small model of 257 tokens, streams all shards of a text in each encoding through a proxy that
counts bytes, and divides by the positions: the tensors alone, the messages, and all that goes over
the connection (HTTP/2 frames and the answers' headers too). Then it does so with the files of the
cache. JSON on standard output.

  tests/benchmarks/soft_target_bytes.py

The text is shared/data/shakespeare, by $DISTILLERY_DATA_DIR. The weights of the model do not matter.
"""
import argparse
import glob
import json
import os
import sys
import tempfile

import grpc
from mnist_runs import ROOT

sys.path[:0] = [os.path.join(ROOT, "tests", folder) for folder in ("integration", "chaos")]
import sample_sets  # noqa: E402
from services import Process, add_stubs, run, wait_for  # noqa: E402
from tcp_proxy import TcpProxy  # noqa: E402

LENGTH = 64
# Name, enum of the contract, top_k.
ENCODINGS = (("float32", 1, 0), ("float16", 2, 0), ("int8", 3, 0), ("top 64 and tail", 4, 64),
             ("top 16 and tail", 4, 16), ("top 4 and tail", 4, 4))


class Teacher:
    """A teacher service with a cache of its own, and a client of it behind a counting proxy."""

    def __init__(self, folder, data_dir, precision):
        from distillery.v1 import teacher_service_pb2, teacher_service_pb2_grpc
        self._messages = teacher_service_pb2
        self.cache = f"{folder}/cache-{precision}"
        address_file = f"{folder}/{precision}.address"
        self._process = Process(folder, precision, "teacher_service", "--model",
                                f"{folder}/teacher.pt", "--data-dir", data_dir, "--cache-dir",
                                self.cache, "--cache-precision", precision, "--listen",
                                "127.0.0.1:0", "--address-file", address_file)
        self._address = wait_for("the teacher", lambda: os.path.exists(address_file)
                                 and "listens on" in self._process.log()
                                 and open(address_file, encoding="utf-8").read().strip())
        self._service = teacher_service_pb2_grpc

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()

    def stream(self, shards, shard_size, encoding, top_k):
        """Rows and bytes of all shards: tensors, messages and connection."""
        rows = tensors = messages = 0
        with TcpProxy(self._address) as proxy:
            with grpc.insecure_channel(proxy.address) as channel:
                stub = self._service.TeacherServiceStub(channel)
                stub.GetTeacher(self._messages.GetTeacherRequest())  # the connection stands
                before = proxy.bytes_to_client
                for shard in range(shards):
                    request = self._messages.StreamSoftTargetsRequest(
                        dataset=dict(name="plays", split="train", shard_size=shard_size),
                        shard=shard, temperature=1, encoding=encoding, top_k=top_k)
                    for message in stub.StreamSoftTargets(request):
                        messages += message.ByteSize()
                        if message.HasField("trailer"):
                            rows += message.trailer.row_count
                            tensors += message.trailer.byte_count
                connection = proxy.bytes_to_client - before
        return rows, tensors, messages, connection


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--shard-size", type=int, default=256)
    arguments = parser.parse_args()
    samples = arguments.shards * arguments.shard_size
    with tempfile.TemporaryDirectory(prefix="distillery-bytes-") as folder:
        add_stubs(folder, "teacher_service")
        data_dir = f"{folder}/data"
        sample_sets.write_plays(f"{data_dir}/plays", sample_sets.shakespeare(),
                                train=samples * LENGTH, test=LENGTH * 16, length=LENGTH)
        run("distillery", "train-teacher", "--dataset", "plays", "--data-dir", data_dir,
            "--architecture", "transformer:1-2-16,causal", "--epochs", 1, "--output",
            f"{folder}/teacher.pt")
        rows, cache = [], []
        for precision in ("float32", "float16"):
            with Teacher(folder, data_dir, precision) as teacher:
                for name, encoding, top_k in (ENCODINGS if precision == "float32"
                                              else ENCODINGS[1:2]):
                    sent, *sizes = teacher.stream(arguments.shards, arguments.shard_size, encoding,
                                                  top_k)
                    if precision == "float32":
                        tensors, messages, connection = (size / sent / LENGTH for size in sizes)
                        rows.append({"encoding": name, "tensor_bytes": tensors,
                                     "message_bytes": messages, "connection_bytes": connection})
                        print(f"| {name} | {tensors:.2f} | {messages:.2f} | {connection:.2f} | "
                              f"{100 * (connection / tensors - 1):.2f} % |", file=sys.stderr)
                files = [path for path in glob.glob(f"{teacher.cache}/**", recursive=True)
                         if os.path.isfile(path) and os.path.getsize(path) > 0]
            if len(files) != arguments.shards:
                sys.exit(f"expected one file of each shard in the cache, found {files}")
            size = sum(os.path.getsize(path) for path in files)
            cache.append({"precision": precision, "files": len(files),
                          "bytes": size / sent / LENGTH})
            print(f"cache {precision}: {len(files)} files, {size / sent / LENGTH:.2f} bytes",
                  file=sys.stderr)
    print(json.dumps({"positions": samples * LENGTH, "shard_size": arguments.shard_size,
                      "streams": rows, "cache": cache}, indent=2))


if __name__ == "__main__":
    main()
