// Devices, lanes and the device-generic runtime, without a device.
#include "common/nn/device.h"

#include <torch/script.h>

#include <cstring>
#include <optional>

#include "common/nn/c10_device_runtime.h"
#include "common/nn/numerics.h"
#include "common/nn/torch_version.h"
#include "teacher_service/teachers/device_lane.h"
#include "tests/common/nn/fake_device.h"
#include "tests/common/nn/small_model.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Device, ACpuNeedsNoRuntime) {
  ASSERT_OK_AND_ASSIGN(const ComputeDevice device, ParseDevice("cpu"));
  EXPECT_TRUE(device.is_cpu());
  EXPECT_EQ(device.kind, "cpu");
}

TEST(Device, CudaIsNamedWithItsCard) {
  FakeDeviceRuntime runtime(/*devices=*/2);
  ASSERT_OK_AND_ASSIGN(const ComputeDevice device, ParseDevice("cuda:1", &runtime));
  EXPECT_FALSE(device.is_cpu());
  EXPECT_EQ(device.name, "cuda:1");
  EXPECT_EQ(device.kind, "cuda/fake_card");
  ASSERT_OK_AND_ASSIGN(const ComputeDevice first, ParseDevice("cuda", &runtime));
  EXPECT_EQ(first.kind, device.kind) << "which of equal cards is no matter";
}

TEST(Device, OneThatIsNotThereIsRefused) {
  FakeDeviceRuntime runtime(/*devices=*/2);
  EXPECT_THAT(ParseDevice("cuda:2", &runtime).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("sees 2 CUDA devices")));
  for (const char* const text : {"cuda:", "cuda:-1", "cuda:x", "gpu", ""}) {
    EXPECT_THAT(ParseDevice(text, &runtime).status(), StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(Device, Float32OnCudaIsNotTf32) {
  at::globalContext().setAllowTF32CuDNN(true);
  ConfigureTorch(1);
  EXPECT_FALSE(at::globalContext().allowTF32CuDNN());
  EXPECT_FALSE(at::globalContext().allowTF32CuBLAS());
  EXPECT_TRUE(at::globalContext().deterministicCuDNN());
}

TEST(MixedPrecision, OfADeviceIsThatDevicesAlone) {
  {
    const MixedPrecisionScope scope(/*mixed=*/true, at::Device(at::kCPU));
    const at::Tensor product = torch::mm(torch::ones({2, 2}), torch::ones({2, 2}));
    EXPECT_EQ(product.scalar_type(), at::kBFloat16);
  }
  {
    // CUDA alone is meant: what is computed on the CPU meanwhile stays float32.
    const MixedPrecisionScope scope(/*mixed=*/true, at::Device(at::kCUDA, 0));
    const at::Tensor product = torch::mm(torch::ones({2, 2}), torch::ones({2, 2}));
    EXPECT_EQ(product.scalar_type(), at::kFloat);
  }
}

class LaneTest : public ::testing::Test {
 protected:
  LaneTest() : device_(*ParseDevice("cuda", &runtime_)), lanes_(device_) {}
  FakeDeviceRuntime runtime_;
  const ComputeDevice device_;
  DeviceLanes lanes_;
};

TEST_F(LaneTest, CopiesThereAndBackOnAStreamOfItsOwn) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  std::vector<float> doubled(6);
  {
    DeviceLanes::Lease lane(&lanes_);
    EXPECT_EQ(runtime_.current(), 1);
    const at::Tensor there = lane->CopyIn(values.data(), at::kFloat, {2, 3});
    lane->CopyOut(there * 2, doubled.data());
    lane.Done();
  }
  EXPECT_EQ(runtime_.current(), 0) << "the thread's own stream is back";
  EXPECT_THAT(doubled, ElementsAre(2, 4, 6, 8, 10, 12));
  EXPECT_THAT(runtime_.copied_on(), ElementsAre(1));
  EXPECT_EQ(runtime_.synchronisations, 1) << "once, for both directions";
}

TEST_F(LaneTest, SeveralOutputsNeedOneWait) {
  DeviceLanes::Lease lane(&lanes_);
  const at::Tensor floats = torch::tensor({1.5F, 2.5F, 3.5F});
  const at::Tensor bytes = torch::tensor({7, -7}).to(at::kChar);
  const at::Tensor halves = torch::tensor({{0.25F}, {0.5F}}).to(at::kHalf);
  float a[3];
  int8_t b[2];
  uint16_t c[2];
  lane->CopyOut({{floats, a}, {bytes, b}, {halves, c}});
  lane.Done();
  EXPECT_THAT(a, ElementsAre(1.5F, 2.5F, 3.5F));
  EXPECT_THAT(b, ElementsAre(7, -7));
  EXPECT_THAT(c, ElementsAre(0x3400, 0x3800));  // 2^-2 and 2^-1 in binary16
  EXPECT_EQ(runtime_.copies_out, 3);
  EXPECT_EQ(runtime_.synchronisations, 1);
}

TEST_F(LaneTest, BuffersAreKeptAndGrowOnlyWhenTheyMust) {
  const std::vector<float> values(100);
  std::vector<float> back(100);
  for (const int64_t rows : {50, 10, 100, 100}) {
    DeviceLanes::Lease lane(&lanes_);
    lane->CopyOut(lane->CopyIn(values.data(), at::kFloat, {rows}), back.data());
    lane.Done();
  }
  EXPECT_EQ(runtime_.streams, 1);
  EXPECT_EQ(runtime_.pinned, 4);  // two for 50 rows, two for 100
}

TEST_F(LaneTest, TwoAtOnceHaveTwoStreams) {
  std::vector<float> values(4);
  {
    DeviceLanes::Lease one(&lanes_);
    std::thread([&] {
      DeviceLanes::Lease other(&lanes_);
      other->CopyOut(other->CopyIn(values.data(), at::kFloat, {4}), values.data());
      other.Done();
    }).join();
    one->CopyIn(values.data(), at::kFloat, {4});
  }
  EXPECT_EQ(runtime_.streams, 2);
  EXPECT_THAT(runtime_.copied_on(), ElementsAre(1, 2));
}

TEST_F(LaneTest, WhatIsUnderWayIsWaitedForBeforeTheNextUse) {
  const std::vector<float> values(4);
  {
    DeviceLanes::Lease lane(&lanes_);
    lane->CopyIn(values.data(), at::kFloat, {4});
    // The model throws here.
  }
  EXPECT_THAT(runtime_.synchronised(), ElementsAre(1));
}

TEST_F(LaneTest, OneThatCannotBeWaitedForIsNotUsedAgain) {
  runtime_.on_synchronize = [] { throw std::runtime_error("CUDA error: device-side assert"); };
  { DeviceLanes::Lease lane(&lanes_); }
  EXPECT_EQ(runtime_.current(), 0);
  { DeviceLanes::Lease lane(&lanes_); }
  EXPECT_EQ(runtime_.streams, 2);
}

// Records what it is asked; the numbers of streams are made up.
struct RecordingGuard : public c10::impl::DeviceGuardImplInterface {
  at::DeviceType type() const override { return at::kCPU; }
  at::Device exchangeDevice(at::Device device) const override { return device; }
  at::Device getDevice() const override { return at::Device(at::kCPU); }
  void setDevice(at::Device /*device*/) const override {}
  void uncheckedSetDevice(at::Device /*device*/) const noexcept override {}
  c10::Stream getStream(at::Device device) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, device);
  }
  c10::Stream getStreamFromGlobalPool(at::Device device, bool /*high*/) const override {
    return c10::Stream(c10::Stream::UNSAFE, device, 41);
  }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override {
    exchanged.push_back(stream.id());
    return c10::Stream(c10::Stream::DEFAULT, stream.device());
  }
  at::DeviceIndex deviceCount() const noexcept override { return 3; }
  void synchronizeStream(const c10::Stream& stream) const override {
    synchronised.push_back(stream.id());
  }
  mutable std::vector<c10::StreamId> exchanged;
  mutable std::vector<c10::StreamId> synchronised;
};

TEST(C10DeviceRuntime, AsksTheGuardOfItsDeviceType) {
  const RecordingGuard guard;
  int emptied = 0;
  C10DeviceRuntime::Parts parts;
  parts.type = at::kCPU;
  parts.guard = &guard;
  parts.pinned = false;
  parts.name = [](int64_t /*index*/) { return "a card"; };
  parts.empty_cache = [&] { ++emptied; };
  C10DeviceRuntime runtime(parts);
  EXPECT_EQ(runtime.device_count(), 3);
  EXPECT_EQ(runtime.DeviceName(0), "a card");
  EXPECT_EQ(runtime.TensorDevice(0).type(), at::kCPU);
  const c10::Stream stream = runtime.TakeStream(at::Device(at::kCPU));
  EXPECT_EQ(stream.id(), 41);
  EXPECT_EQ(runtime.ExchangeStream(stream).id(), 0);
  runtime.Synchronize(stream);
  EXPECT_THAT(guard.exchanged, ElementsAre(41));
  EXPECT_THAT(guard.synchronised, ElementsAre(41));
  at::Tensor host = runtime.PinnedTensor({2}, at::kFloat);
  runtime.CopyToHost(torch::tensor({3.0F, 4.0F}), host);
  EXPECT_TRUE(
      at::equal(runtime.CopyToDevice(host, at::Device(at::kCPU)), torch::tensor({3.0F, 4.0F})));
  runtime.EmptyCache();
  EXPECT_EQ(emptied, 1);
}

TEST(C10DeviceRuntime, WithoutAGuardThereIsNoDevice) {
  C10DeviceRuntime runtime({});
  EXPECT_EQ(runtime.device_count(), 0);
  EXPECT_EQ(runtime.DeviceName(0), "");
  runtime.EmptyCache();
}

// In the form of each release: 1.13 and 2.x throw OutOfMemoryError with this text, older ones and
// CUDA itself a c10::Error or c10::AcceleratorError; in a forward pass the interpreter makes a
// std::runtime_error of it.
TEST(CatchTorchErrors, SaysThatTheDeviceHasNoMemory) {
  const std::string text =
      "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 23.69 GiB total capacity)";
  const std::function<void()> throwers[] = {
      [&] { TORCH_CHECK_WITH(OutOfMemoryError, false, text); },
      [&] { TORCH_CHECK(false, text); },
      [&] { throw std::runtime_error("The following operation failed\nRuntimeError: " + text); },
      [] { TORCH_CHECK(false, "CUDA error: out of memory"); },
      [] {
        TORCH_CHECK(false, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate");
      },
      [] { throw std::bad_alloc(); },
      [] { torch::empty({int64_t{1} << 50}); },
  };
  for (const auto& thrower : throwers) {
    const absl::Status status = CatchTorchErrors([&] {
      thrower();
      return absl::OkStatus();
    });
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted)) << status;
  }
}

}  // namespace
}  // namespace distillery
