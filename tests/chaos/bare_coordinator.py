"""A coordinator in a process of its own and a worker on stock grpcio that trains nothing: it sends
deltas of its own making. For tests of faults that need no LibTorch."""

import os
import shutil
import struct
import sys
import tempfile
import urllib.request
import uuid

try:
    import grpc
except ImportError as missing:
    print(f"skipped: {missing}; install python3-grpcio")
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from services import PATIENCE, ServiceTestCase, add_stubs, program, run, wait_for

MIB = 1 << 20
OK = grpc.StatusCode.OK
CHUNK = 1 << 20
ELEMENTS = 4096  # of the model


def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC_TABLE = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def model_file(value, elements=ELEMENTS):
    """The canonical safetensors file of one float32 vector "w"."""
    json = ('{"w":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' %
            (elements, 4 * elements)).encode()
    json += b" " * (-len(json) % 8)
    return struct.pack("<Q", len(json)) + json + struct.pack("<f", value) * elements


class BareCoordinatorCase(ServiceTestCase):
    """With `self.start_coordinator` and clients of it."""

    @classmethod
    def setUpClass(cls):
        stubs = tempfile.mkdtemp(prefix="distillery-")
        cls.addClassCleanup(shutil.rmtree, stubs, ignore_errors=True)
        add_stubs(stubs, "coordinator_service")
        cls.addClassCleanup(sys.path.remove, stubs)
        from distillery.v1 import coordinator_service_pb2, coordinator_service_pb2_grpc
        cls.messages, cls.rpc = coordinator_service_pb2, coordinator_service_pb2_grpc

    def start_coordinator(self, *arguments, before=(), state=None):
        """`before`: a program that starts it, with its arguments."""
        metrics = self.path("coordinator.metrics")
        if os.path.exists(metrics):
            os.remove(metrics)
        process = self.listen("coordinator", *before, program("coordinator"), "--state-dir",
                              state or self.path("state"), "--metrics-listen", "127.0.0.1:0",
                              "--metrics-address-file", metrics, *arguments)
        wait_for("the metrics' address",
                 lambda: os.path.exists(metrics) or process.child.poll() is not None)
        with open(metrics) as file:
            process.metrics_address = file.read().strip()
        return process

    def stub(self, process, **options):
        options = {"grpc.use_local_subchannel_pool": 1, **options}
        channel = grpc.insecure_channel(process.address, options=list(options.items()))
        self.addCleanup(channel.close)
        return self.rpc.CoordinatorServiceStub(channel)

    def spec(self, rounds=2, replicas=2):
        messages = self.messages
        return messages.RunSpec(
            name="bare", seed=1, numerics="fastest", compute_threads=1,
            dataset=messages.RunDataset(name="digits", train_split="train",
                                        evaluation_split="test", shard_size=128, views=1,
                                        augmentation="none"),
            student=messages.RunStudent(architecture="mlp:64-10"),
            loss=messages.RunLoss(alpha=0, temperature=1),
            training=messages.RunTraining(rounds=rounds, replicas=replicas, local_steps=25,
                                          batch_size=4, learning_rate=0.1, schedule="constant"),
            outer=messages.RunOuter(optimizer="sgd", learning_rate=1),
            evaluation=messages.RunEvaluation(every_rounds=0))

    def submit_run(self, stub, **spec):
        return stub.SubmitRun(self.messages.SubmitRunRequest(
            request_id=uuid.uuid4().hex, spec=self.spec(**spec)), timeout=PATIENCE).run.run_id

    def get(self, stub, run_id):
        return stub.GetRun(self.messages.GetRunRequest(run_id=run_id), timeout=PATIENCE).run

    def register(self, stub, name="bare"):
        return stub.RegisterWorker(self.messages.RegisterWorkerRequest(
            request_id=uuid.uuid4().hex, name=name, numerics="fastest"),
            timeout=PATIENCE).worker_id

    def lease(self, stub, worker, wait=0.0):
        """A lease, or None."""
        answer = stub.LeaseTask(self.messages.LeaseTaskRequest(
            request_id=uuid.uuid4().hex, worker_id=worker, max_wait_seconds=wait),
            timeout=PATIENCE)
        return answer.lease if answer.HasField("lease") else None

    def upload(self, stub, lease, file, request_id=None):
        """Sends a result; True: it was a duplicate."""
        messages = self.messages
        header = messages.DeltaHeader(request_id=request_id or uuid.uuid4().hex, lease=lease,
                                      byte_count=len(file), model_card="{}")
        if lease.kind == messages.TASK_KIND_TRAIN:
            header.model_card = ""
            header.metrics.sample_count = 100

        def requests():
            yield messages.UploadDeltaRequest(header=header)
            count = 0
            for at in range(0, len(file), CHUNK):
                yield messages.UploadDeltaRequest(
                    chunk=messages.BytesChunk(offset=at, data=file[at:at + CHUNK]))
                count += 1
            yield messages.UploadDeltaRequest(trailer=messages.BytesTrailer(
                chunk_count=count, byte_count=len(file), crc32c=crc32c(file)))

        return stub.UploadDelta(requests(), timeout=PATIENCE).duplicate

    def status_of(self, call):
        """The code with which a call ends, and its message."""
        try:
            call()
        except grpc.RpcError as error:
            return error.code(), error.details()
        return OK, ""

    def assert_memory_below(self, grown, limit):
        if MEMORY_COUNTS:
            self.assertLess(grown, limit)

    def metric(self, process, name, **labels):
        """Sum of one metric over those of its labels that are not given."""
        with urllib.request.urlopen(f"http://{process.metrics_address}/metrics",
                                    timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        values = [float(line.rsplit(" ", 1)[1]) for line in lines
                  if line.split("{")[0].split(" ")[0] == "distillery_coordinator_" + name
                  and all(pair in line for pair in wanted)]
        self.assertTrue(values, f"there is no metric {name}")
        return sum(values)


def resident_bytes(process):
    with open(f"/proc/{process.child.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# A sanitizer keeps what is freed, to see it used again: memory says nothing there.
MEMORY_COUNTS = not os.environ.get("DISTILLERY_SANITIZE")


def descriptor_count(process):
    return len(os.listdir(f"/proc/{process.child.pid}/fd"))


def thread_count(process):
    return len(os.listdir(f"/proc/{process.child.pid}/task"))
