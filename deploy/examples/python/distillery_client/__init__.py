"""Soft targets from a Distillery teacher service, as NumPy arrays.

    from distillery_client import Teacher
    teacher = Teacher("127.0.0.1:7001")
    soft = teacher.compute(images, temperature=4)      # images [n, channels, height, width], 0..1
    rows = teacher.shard("digits", "train", shard=0, shard_size=128, temperature=4)
"""

import grpc
import numpy
from distillery.v1 import teacher_service_pb2 as messages
from distillery.v1 import teacher_service_pb2_grpc as stubs
from distillery.v1 import tensor_pb2 as tensors

LOGITS = messages.REPRESENTATION_LOGITS
PROBABILITIES = messages.REPRESENTATION_PROBABILITIES
_TYPES = {tensors.DATA_TYPE_FLOAT32: numpy.float32, tensors.DATA_TYPE_FLOAT16: numpy.float16}
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED)


def _rows(tensor):
    return numpy.frombuffer(tensor.data, _TYPES[tensor.data_type]).reshape(tuple(tensor.shape))


class Teacher:
    """One teacher service. Errors are grpc.RpcError, with the status that the contract names."""

    def __init__(self, address, credentials=None, timeout=30):
        """credentials: grpc.ssl_channel_credentials(...) for mutual TLS; None: plain text."""
        self._channel = (grpc.secure_channel(address, credentials) if credentials
                         else grpc.insecure_channel(address))
        self._stub = stubs.TeacherServiceStub(self._channel)
        self._timeout = timeout

    def close(self):
        self._channel.close()

    def about(self):
        """Digest, input shape, class names ... (Teacher)."""
        return self._stub.GetTeacher(messages.GetTeacherRequest(),
                                     timeout=self._timeout).teacher

    def compute(self, images, temperature, representation=PROBABILITIES, pixel_max=1):
        """Soft targets [n, classes] of images [n, channels, height, width] with pixels 0..pixel_max."""
        images = numpy.ascontiguousarray(images, numpy.float32)
        inputs = tensors.Tensor(data_type=tensors.DATA_TYPE_FLOAT32, shape=list(images.shape),
                                data=images.tobytes())
        answer = self._stub.ComputeSoftTargets(messages.ComputeSoftTargetsRequest(
            inputs=inputs, temperature=temperature, representation=representation,
            pixel_max=pixel_max), timeout=self._timeout)
        return _rows(answer.soft_targets)

    def shard(self, dataset, split, shard, shard_size, temperature, representation=LOGITS,
              attempts=5):
        """Soft targets [rows, classes] of one shard of a data set that the teacher holds.

        A stream that breaks is resumed at the next row, up to `attempts` times.
        """
        parts, received, row_count = [], 0, None
        for attempt in range(attempts):
            request = messages.StreamSoftTargetsRequest(
                dataset=tensors.DatasetSelector(name=dataset, split=split, shard_size=shard_size),
                shard=shard, temperature=temperature, representation=representation,
                start_row=received)
            try:
                for message in self._stub.StreamSoftTargets(request, timeout=self._timeout):
                    kind = message.WhichOneof("message")
                    if kind == "header":
                        row_count = message.header.row_count
                    elif kind == "chunk":
                        parts.append(_rows(message.chunk.values))
                        received += len(parts[-1])
                    elif kind == "trailer" and received == row_count:
                        return numpy.concatenate(parts)
            except grpc.RpcError as error:
                if error.code() not in _AGAIN or attempt + 1 == attempts:
                    raise
        raise RuntimeError(f"shard {shard}: {received} of {row_count} rows after {attempts} tries")
