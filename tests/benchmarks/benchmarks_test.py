"""The benchmarks work, and say all that docs/measured quotes; not how fast."""
import json
import os
import pathlib
import subprocess
import unittest

PROGRAMS = pathlib.Path(os.environ.get("DISTILLERY_BIN", "build/release/bin"))
SOURCE = pathlib.Path(__file__).resolve().parents[2]
TEXT = pathlib.Path(os.environ.get("DISTILLERY_DATA_DIR", ""),
                    "shakespeare/tinyshakespeare.txt.gz")


def quick(program):
    done = subprocess.run([PROGRAMS / program, "--quick"], capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class CoordinatorExchangeTest(unittest.TestCase):
    def test_has_all_figures_and_its_memory_is_bounded(self):
        report = quick("coordinator_exchange")
        (case,) = report["cases"]
        for kind in ("bare stream, down", "bare stream, up", "bare file with fdatasync",
                     "download", "upload", "download, worker's client", "upload, worker's client"):
            self.assertGreater(case[kind]["gigabytes_per_second"], 0, kind)
        for figure in ("download_ratio", "upload_ratio", "average_seconds", "peak_memory_bytes"):
            self.assertGreater(case[figure], 0, figure)
        self.assertTrue(case["peak_memory_within_limit"])
        self.assertLessEqual(case["peak_memory_bytes"],
                             2.5 * case["model_bytes"] + (64 << 20))


class CoordinatorScaleTest(unittest.TestCase):
    def test_has_all_figures(self):
        report = quick("coordinator_scale")
        self.assertEqual([case["workers"] for case in report["cases"]], [4, 16])
        for case in report["cases"]:
            for call in ("RegisterWorker", "LeaseTask", "RenewLease", "UploadDelta",
                         "DownloadWeights", "ReportEvaluation", "GetRun"):
                self.assertGreater(case["calls"][call]["count"], 0, call)
                self.assertGreater(case["calls"][call]["p99_milliseconds"], 0, call)
            self.assertGreaterEqual(case["tasks_done"], case["workers"])
            for figure in ("calls_per_second", "cpu_microseconds_per_call",
                           "memory_bytes_per_worker"):
                self.assertGreater(case[figure], 0, figure)


@unittest.skipUnless((PROGRAMS / "teacher_throughput").exists(), "built without LibTorch")
class GpuTest(unittest.TestCase):
    """On a CPU, so that it works where there is a GPU. One process does gRPC and forward passes."""

    def test_has_all_figures(self):
        done = subprocess.run([SOURCE / "tests/benchmarks/gpu.py", "--device", "cpu", "--quick",
                               "--model", "mlp"],
                              capture_output=True, text=True, timeout=500, check=False,
                              env=dict(os.environ, DISTILLERY_BIN=str(PROGRAMS)))
        self.assertEqual(done.returncode, 0, done.stderr)
        cases = json.loads(done.stdout)["cases"]
        self.assertEqual([case["precision"] for case in cases], ["float32", "bfloat16"])
        for case in cases:
            loads = [load["load"] for load in case["loads"]]
            self.assertEqual(loads[:4], ["bare forward", "1 stream", "4 streams", "queries, 1 client"])
            for load in case["loads"]:
                self.assertGreater(load["rows_per_second"], 0, (case["case"], load["load"]))
            for beside in ("alone", "beside_a_stream"):
                self.assertGreater(case["latency_of_one_row"][beside]["p99_milliseconds"], 0)
            errors = case["relative_error"]
            self.assertLess(errors["float32"], 1e-4)
            # bfloat16 has 8 bits of mantissa, and fifty layers add up.
            self.assertLess(errors["float32"], errors["bfloat16"])
            self.assertLess(errors["bfloat16"], 0.2)

    def test_a_device_that_is_not_there_is_said_so(self):
        done = subprocess.run([PROGRAMS / "teacher_throughput", "--device", "cuda:63", "--quick"],
                              capture_output=True, text=True, timeout=100, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("device cuda:63 is not there", done.stderr)


@unittest.skipUnless((PROGRAMS / "distillery").exists(), "built without LibTorch")
@unittest.skipUnless(TEXT.exists(), f"no {TEXT}; name its folder by $DISTILLERY_DATA_DIR")
class SoftTargetBytesTest(unittest.TestCase):
    def test_16_tokens_and_a_tail_are_66_bytes_a_position(self):
        done = subprocess.run([SOURCE / "tests/benchmarks/soft_target_bytes.py", "--shards", "1",
                               "--shard-size", "64"],
                              capture_output=True, text=True, timeout=500, check=False,
                              env=dict(os.environ, DISTILLERY_BIN=str(PROGRAMS)))
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        streams = {stream["encoding"]: stream for stream in report["streams"]}
        for encoding, size in (("float32", 1028), ("float16", 514), ("int8", 261),
                               ("top 16 and tail", 66)):
            self.assertEqual(streams[encoding]["tensor_bytes"], size)
            # Headers of messages and frames: under two bytes in a hundred.
            self.assertGreater(streams[encoding]["connection_bytes"], size)
            self.assertLess(streams[encoding]["connection_bytes"], 1.02 * size)
        # Raw logits and a header of 128 bytes, whatever was asked for.
        self.assertEqual([cache["bytes"] for cache in report["cache"]],
                         [size + 128 / report["positions"] for size in (1028, 514)])


class RunTest(unittest.TestCase):
    @unittest.skipIf(os.path.exists("/dev/nvidia0"), "there is a GPU")
    def test_without_a_gpu_the_tests_of_one_end_at_once_and_say_why(self):
        done = subprocess.run([SOURCE / "tests/run", "--gpu"], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "")
        self.assertIn("no GPU here", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


if __name__ == "__main__":
    unittest.main()
