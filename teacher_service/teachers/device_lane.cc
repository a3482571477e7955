#include "teacher_service/teachers/device_lane.h"

#include <c10/util/accumulate.h>
#include <torch/types.h>

#include <cstring>
#include <utility>

#include "teacher_service/teachers/padded_batch.h"

namespace distillery {
namespace {

// Where each input or output begins in its buffer, so that every type lies aligned.
constexpr int64_t kAlignment = 64;

int64_t Aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

int64_t BytesOf(const at::Tensor& tensor) {
  return tensor.numel() * static_cast<int64_t>(tensor.element_size());
}

}  // namespace

DeviceLane::DeviceLane(const ComputeDevice& device)
    : device_(device), stream_(device.runtime->TakeStream(device.tensors)) {}

at::Tensor DeviceLane::Pinned(int64_t bytes, at::Tensor* buffer) const {
  if (!buffer->defined() || buffer->numel() < bytes) {
    *buffer = at::Tensor();
    *buffer = device_.runtime->PinnedTensor({bytes}, at::kByte);
  }
  return buffer->narrow(0, 0, bytes);
}

std::vector<at::Tensor> DeviceLane::CopyIn(const std::vector<Input>& inputs) {
  const auto bytes_of = [](const Input& input) {
    return c10::multiply_integers(input.shape) * static_cast<int64_t>(c10::elementSize(input.type));
  };
  int64_t total = 0;
  for (const Input& input : inputs) total += Aligned(bytes_of(input));
  const at::Tensor host = Pinned(total, &inputs_);
  std::vector<at::Tensor> copies;
  int64_t first = 0;
  for (const Input& input : inputs) {
    const int64_t bytes = bytes_of(input);
    const at::Tensor column = host.narrow(0, first, bytes).view(input.type).view(input.shape);
    std::memcpy(column.data_ptr(), input.values, static_cast<size_t>(bytes));
    copies.push_back(device_.runtime->CopyToDevice(column, device_.tensors));
    first += Aligned(bytes);
  }
  return copies;
}

at::Tensor DeviceLane::Forward(const at::Tensor& batch, const std::vector<int64_t>& sizes,
                               const std::function<at::Tensor(const at::Tensor&)>& forward) {
  const int64_t rows = PaddedRows(batch.size(0), sizes);
  if (rows == 0) return forward(batch);
  auto found = captured_.find(rows);
  if (found == captured_.end()) {
    std::vector<int64_t> shape = batch.sizes().vec();
    shape[0] = rows;
    auto captured = device_.runtime->Capture(at::zeros(shape, batch.options()), forward);
    found = captured_.emplace(rows, std::move(captured)).first;
  }
  return found->second == nullptr ? forward(batch) : found->second->Replay(batch);
}

void DeviceLane::CopyOut(const std::vector<Output>& outputs) {
  int64_t total = 0;
  for (const Output& output : outputs) total += Aligned(BytesOf(output.tensor));
  const at::Tensor host = Pinned(total, &outputs_);
  std::vector<at::Tensor> copies;
  int64_t first = 0;
  for (const Output& output : outputs) {
    copies.push_back(host.narrow(0, first, BytesOf(output.tensor))
                         .view(output.tensor.scalar_type())
                         .view(output.tensor.sizes()));
    first += Aligned(BytesOf(output.tensor));
    device_.runtime->CopyToHost(output.tensor.contiguous(), copies.back());
  }
  Wait();
  for (size_t i = 0; i < outputs.size(); ++i) {
    std::memcpy(outputs[i].bytes, copies[i].data_ptr(), copies[i].nbytes());
  }
}

DeviceLanes::Lease::Lease(DeviceLanes* lanes)
    : lanes_(lanes),
      lane_(lanes->TakeLane()),
      guard_(lanes->device().tensors),
      before_(lanes->device().runtime->ExchangeStream(lane_->stream_)) {}

DeviceLanes::Lease::~Lease() {
  bool usable = true;
  try {
    if (!done_) lane_->Wait();
  } catch (const std::exception&) {
    usable = false;  // the caller has an error already; the next one gets another lane
  }
  lanes_->device().runtime->ExchangeStream(before_);
  if (!usable) return;
  MutexLock lock(lanes_->mutex_);
  lanes_->free_.push_back(std::move(lane_));
}

std::unique_ptr<DeviceLane> DeviceLanes::TakeLane() {
  MutexLock lock(mutex_);
  if (free_.empty()) return std::make_unique<DeviceLane>(device_);
  std::unique_ptr<DeviceLane> lane = std::move(free_.back());
  free_.pop_back();
  return lane;
}

}  // namespace distillery
