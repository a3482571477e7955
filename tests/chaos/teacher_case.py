"""A teacher in a process of its own and clients on stock grpcio, for tests of faults.

Their data, noise that passes for mnist, makes streams of many megabytes, which no buffer holds."""

import os
import random
import shutil
import sys
import tempfile
import threading
import urllib.request

try:
    import grpc
except ImportError as missing:
    print(f"skipped: {missing}; install python3-grpcio")
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from services import PATIENCE, ServiceTestCase, add_stubs, program, run, wait_for

SIDE = 28
ROWS = 12_000  # of the test split: 9.4 MB of pixels, and 40 bytes of logits a row
TRAINING_ROWS = 600
MIB = 1 << 20
OK = grpc.StatusCode.OK
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
# What our own clients set (common/rpc/transport.cc).
KEEPALIVE = {"grpc.keepalive_time_ms": 30_000, "grpc.keepalive_timeout_ms": 10_000,
             "grpc.keepalive_permit_without_calls": 1, "grpc.http2.max_pings_without_data": 0}
RECONNECT = {"grpc.initial_reconnect_backoff_ms": 100, "grpc.min_reconnect_backoff_ms": 3_000,
             "grpc.max_reconnect_backoff_ms": 5_000}


def write_noise(folder):
    """An IDX data set of random bytes, always the same."""
    os.makedirs(folder)
    generator = random.Random(1)
    for part, rows in (("train", TRAINING_ROWS), ("t10k", ROWS)):
        with open(os.path.join(folder, part + "-images-idx3-ubyte"), "wb") as file:
            file.write(bytes([0, 0, 8, 3]))
            for size in (rows, SIDE, SIDE):
                file.write(size.to_bytes(4, "big"))
            file.write(generator.randbytes(rows * SIDE * SIDE))
        with open(os.path.join(folder, part + "-labels-idx1-ubyte"), "wb") as file:
            file.write(bytes([0, 0, 8, 1]) + rows.to_bytes(4, "big"))
            file.write(bytes(i % 10 for i in range(rows)))


class Shard:
    """The rows of one shard as they come, over as many streams as it takes."""

    def __init__(self, case, **request):
        self._case = case
        self._request = dict(shard_size=ROWS, temperature=2.0, include_samples=True)
        self._request.update(request)
        self.rows = 0
        self.row_count = None
        self.values = bytearray()  # logits, then samples, chunk by chunk
        self.inputs = bytearray()
        self.complete = False

    def open(self, stub, timeout=PATIENCE, **options):
        """A stream from the first row that is missing."""
        request = dict(self._request)
        messages = self._case.messages
        return stub.StreamSoftTargets(messages.StreamSoftTargetsRequest(
            dataset=self._case.tensors.DatasetSelector(
                name="mnist", split="test", shard_size=request.pop("shard_size")),
            start_row=self.rows, **request), timeout=timeout, **options)

    def take(self, message):
        """Adds one message; no row may lack or come twice."""
        kind = message.WhichOneof("message")
        if kind == "header":
            self.row_count = message.header.row_count
        elif kind == "chunk":
            chunk = message.chunk
            self._case.assertEqual(chunk.start_row, self.rows, "no gap and no repeat")
            self.rows += chunk.values.shape[0]
            self.values += chunk.values.data
            self.inputs += chunk.inputs.data
        else:
            self._case.assertEqual(self.rows, self.row_count)
            self.complete = True

    def read(self, stream):
        """All that the stream still brings; returns its status code."""
        try:
            for message in stream:
                self.take(message)
        except grpc.RpcError as error:
            return error.code()
        self._case.assertTrue(self.complete, "an OK stream ends with its trailer")
        return OK

    def content(self):
        return bytes(self.values), bytes(self.inputs)


class TeacherCase(ServiceTestCase):
    """With `self.start_teacher` and clients of it; see `Shard` for streams."""

    @classmethod
    def setUpClass(cls):
        cls.class_folder = tempfile.mkdtemp(prefix="distillery-")
        cls.addClassCleanup(shutil.rmtree, cls.class_folder, ignore_errors=True)
        data = os.path.join(cls.class_folder, "data")
        write_noise(os.path.join(data, "mnist"))
        cls.data_dir = data
        cls.model = os.path.join(cls.class_folder, "teacher.pt")
        run("distillery", "train-teacher", "--output", cls.model, "--dataset", "mnist", "--data-dir",
            data, "--architecture", "mlp:784-16-10", "--epochs", 1)
        stubs = os.path.join(cls.class_folder, "stubs")
        os.makedirs(stubs)
        add_stubs(stubs, "tensor", "teacher_service")
        cls.addClassCleanup(sys.path.remove, stubs)
        from distillery.v1 import teacher_service_pb2, teacher_service_pb2_grpc, tensor_pb2
        cls.messages, cls.rpc, cls.tensors = (teacher_service_pb2, teacher_service_pb2_grpc,
                                              tensor_pb2)

    def start_teacher(self, *arguments, label="teacher", at="127.0.0.1:0", descriptors=None,
                      warm=True):
        """A running teacher, `at` an address; `descriptors`: its limit of open files."""
        before = (["/usr/bin/prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors
                  else [])
        metrics = self.path(label + ".metrics")
        if os.path.exists(metrics):
            os.remove(metrics)
        process = self.listen(label, *before, program("teacher_service"), "--model", self.model, "--data-dir",
                              self.data_dir, "--metrics-listen", "127.0.0.1:0",
                              "--metrics-address-file", metrics, *arguments, at=at)
        wait_for("the metrics' address",
                 lambda: os.path.exists(metrics) or process.child.poll() is not None)
        with open(metrics) as file:
            process.metrics_address = file.read().strip()
        if warm:
            wait_for("the teacher to be warm", lambda: metric(process, "model_ready") == 1)
        return process

    def channel(self, address, **options):
        options = {**KEEPALIVE, **RECONNECT, "grpc.use_local_subchannel_pool": 1, **options}
        channel = grpc.insecure_channel(address, options=list(options.items()))
        self.addCleanup(channel.close)
        return channel

    def stub(self, address, **options):
        return self.rpc.TeacherServiceStub(self.channel(address, **options))

    def ask(self, stub, timeout=PATIENCE, **options):
        return stub.GetTeacher(self.messages.GetTeacherRequest(), timeout=timeout, **options)

    def query(self, rows=2):
        """A request for the soft targets of pictures of one grey."""
        pixels = b"\x00\x00\x80\x3e" * (rows * SIDE * SIDE)
        return self.messages.ComputeSoftTargetsRequest(
            inputs=self.tensors.Tensor(data_type=self.tensors.DATA_TYPE_FLOAT32,
                                       shape=[rows, 1, SIDE, SIDE], data=pixels), temperature=2)

    def status_of(self, call):
        """The code with which a call ends."""
        try:
            call()
        except grpc.RpcError as error:
            return error.code()
        return OK

    def undisturbed(self, stub, **request):
        """All of a shard, read at once."""
        shard = Shard(self, **request)
        self.assertEqual(shard.read(shard.open(stub)), OK)
        return shard

    def in_background(self, work):
        """Runs `work()` in a thread; the test joins what this returns."""
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread


def metric(teacher, name, timeout=PATIENCE):
    """Sum of one metric over its labels."""
    url = f"http://{teacher.metrics_address}/metrics"
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        lines = answer.read().decode().splitlines()
    values = [float(line.rsplit(" ", 1)[1]) for line in lines
              if line.split("{")[0].split(" ")[0] == "distillery_teacher_" + name]
    if not values:
        raise AssertionError(f"there is no metric {name}")
    return sum(values)


def resident_bytes(process):
    with open(f"/proc/{process.child.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptor_count(process):
    return len(os.listdir(f"/proc/{process.child.pid}/fd"))


def thread_count(process):
    return len(os.listdir(f"/proc/{process.child.pid}/task"))
