// TorchTeacher on a device: with a fake one, and on a GPU where LibTorch sees one.
#include "tests/teacher_service/teachers/device_teacher.h"

#include <torch/script.h>

#include <cmath>
#include <thread>

#include "common/base/half.h"
#include "common/nn/numerics.h"
#include "teacher_service/compute_scheduler.h"
#include "teacher_service/teachers/finite_rows.h"
#include "teacher_service/teachers/replicated_teacher.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST_F(DeviceTeacherTest, GivesTheLogitsOfTheCpu) {
  const auto teacher = Load(on_device_);
  runtime_.bytes_out = 0;
  EXPECT_EQ(Logits(*teacher), Logits(*Load(on_cpu_))) << "the fake computes where the CPU does";
  EXPECT_EQ(runtime_.bytes_out, kRows * kClasses * 4);
  EXPECT_EQ(teacher->info().max_batch_rows, 1024);
}

TEST_F(DeviceTeacherTest, TakesBytesAQuarterOfTheCopies) {
  const auto teacher = Load(on_device_);
  EXPECT_FALSE(Load(on_cpu_)->takes_bytes());
  ExpectBytesAreAsGoodAsPixels(*teacher, 16);
  ExpectBytesAreAsGoodAsPixels(*teacher, 255);
  int64_t copied = 0;
  runtime_.on_copy_in = [&](const at::Tensor& host) {
    copied += static_cast<int64_t>(host.nbytes());
  };
  std::vector<float> logits(3 * kClasses);
  const std::vector<uint8_t> bytes(3 * kPixels);
  ASSERT_THAT(teacher->ComputeLogitsOfBytes(bytes.data(), 255, 3, logits.data()), IsOk());
  EXPECT_EQ(copied, 3 * kPixels);
}

TEST_F(DeviceTeacherTest, IsAnotherTeacherThanThatOfTheCpuOrOfAnotherCard) {
  const TeacherInfo cpu = Load(on_cpu_)->info();
  const TeacherInfo device = Load(on_device_)->info();
  EXPECT_NE(device.digest, cpu.digest);
  EXPECT_THAT(device.numerics_fingerprint, AllOf(HasSubstr("teacher_device=cuda/fake_card"),
                                                 HasSubstr("teacher_precision=float32")));
  TorchTeacherOptions same = on_device_;
  same.device = "cuda:0";
  EXPECT_EQ(Load(same)->info().digest, device.digest) << "which of two equal cards is no matter";
  runtime_.card = "another card";
  EXPECT_NE(Load(on_device_)->info().digest, device.digest);
  on_device_.precision = "bfloat16";
  const std::string rounded = Load(on_device_)->info().digest;
  on_cpu_.precision = "bfloat16";
  EXPECT_NE(Load(on_cpu_)->info().digest, rounded);
}

TEST_F(DeviceTeacherTest, BatchesAtOnceAreOnStreamsOfTheirOwn) {
  const auto teacher = Load(on_device_);
  const std::vector<float> expected = Logits(*teacher);
  // Each copy in waits for the other: two lanes are needed.
  std::atomic<int> arrived{0};
  runtime_.on_copy_in = [&](const at::Tensor& /*host*/) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(Logits(*teacher), expected); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(runtime_.streams, 2);
  EXPECT_THAT(runtime_.copied_on(), SizeIs(2));
  EXPECT_THAT(runtime_.synchronised(), SizeIs(2));
}

TEST_F(DeviceTeacherTest, HalfLogitsAreRoundedThereAndCopiedAsHalves) {
  on_device_.half_logits = true;
  const auto teacher = Load(on_device_);
  runtime_.bytes_out = 0;
  const std::vector<float> halves = Logits(*teacher);
  EXPECT_EQ(runtime_.bytes_out, kRows * kClasses * 2);
  std::vector<float> expected = Logits(*Load(on_cpu_));
  for (float& logit : expected) logit = HalfToFloat(FloatToHalf(logit));
  EXPECT_EQ(halves, expected);
}

TEST_F(DeviceTeacherTest, HalfLogitsSaturateAsTheCacheDoes) {
  SaveSource("    return torch.flatten(x, 1)[:, 0:10] * 1e6\n");
  on_device_.half_logits = true;
  const std::vector<float> halves = Logits(*Load(on_device_));
  std::vector<float> expected = Logits(*Load(on_cpu_));
  for (float& logit : expected) logit = HalfToFloat(FloatToHalf(logit));
  EXPECT_EQ(halves, expected);
  EXPECT_EQ(*std::max_element(halves.begin(), halves.end()), 65504);
}

TEST_F(DeviceTeacherTest, ALogitThatIsNotFiniteIsRefusedAsHalfToo) {
  SaveSource("    return torch.flatten(x, 1)[:, 0:10] / 0\n");
  on_device_.half_logits = true;
  EXPECT_THAT(LoadTorchTeacher(on_device_).status(),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("cuda:1"), HasSubstr("answered with"))));
}

TEST_F(DeviceTeacherTest, ProbabilitiesBecomeLogitsThere) {
  SaveSource("    return torch.softmax(torch.flatten(x, 1)[:, 0:10], 1)\n");
  card_.outputs_probabilities = true;
  on_device_.card = card_;
  on_cpu_.card = card_;
  EXPECT_EQ(Logits(*Load(on_device_)), Logits(*Load(on_cpu_)));
}

TEST_F(DeviceTeacherTest, Bfloat16IsWithinItsPrecision) {
  on_device_.precision = "bfloat16";
  const std::vector<float> rounded = Logits(*Load(on_device_));
  const std::vector<float> exact = Logits(*Load(on_cpu_));
  EXPECT_NE(rounded, exact);
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(rounded[i], exact[i], 0.05);
}

TEST_F(DeviceTeacherTest, Float16IsForDevices) {
  // Matrix products of float16 are not for a CPU, on which the fake computes.
  SaveSource("    return torch.flatten(x, 1)[:, 0:10] * 3\n");
  on_device_.precision = "float16";
  on_cpu_.precision = "float16";
  EXPECT_THAT(LoadTorchTeacher(on_cpu_).status(), StatusIs(absl::StatusCode::kInvalidArgument));
  const std::vector<float> rounded = Logits(*Load(on_device_));
  on_cpu_.precision = "float32";
  const std::vector<float> exact = Logits(*Load(on_cpu_));
  EXPECT_NE(rounded, exact);
  // Two roundings of 2^-11 each.
  for (size_t i = 0; i < exact.size(); ++i) {
    EXPECT_NEAR(rounded[i], exact[i], std::abs(exact[i]) * 0x1p-10);
  }
}

TEST_F(DeviceTeacherTest, EncodesSoftTargetsThereForSeveralCallers) {
  const auto teacher = Load(on_device_);
  const auto here = Load(on_cpu_);
  ASSERT_TRUE(teacher->encodes());
  EXPECT_FALSE(here->encodes());
  const std::vector<float> logits = Logits(*here);
  SoftTargetFormat formats[4];
  formats[0].temperature = 4;
  formats[1].encoding = Encoding::kFloat16;
  formats[2].encoding = Encoding::kInt8;
  formats[3].encoding = Encoding::kTopK;
  formats[3].top_k = 3;
  std::vector<EncodedRows> got;
  got.reserve(4);
  std::vector<EncodedPart> parts;
  for (const SoftTargetFormat& format : formats) {
    EncodedRows& rows = got.emplace_back(RowsFor(kRows / 4, kClasses, format));
    parts.push_back({kRows / 4, format, BuffersOf(rows)});
  }
  runtime_.synchronisations = 0;
  ASSERT_THAT(teacher->ComputeSoftTargets(inputs_.data_ptr<float>(), kRows, parts), IsOk());
  EXPECT_EQ(runtime_.synchronisations, 1);
  for (int64_t i = 0; i < 4; ++i) {
    const EncodedRows expected = EncodeSoftTargets(logits.data() + i * kRows / 4 * kClasses,
                                                   kRows / 4, kClasses, formats[i]);
    EXPECT_EQ(got[i].row_scales, expected.row_scales);
    EXPECT_EQ(got[i].class_indexes, expected.class_indexes);
    if (i < 3) {
      EXPECT_EQ(got[i].values, expected.values) << i;
    }
    // tensor_encoding_test.cc has the bounds of the others.
    EXPECT_EQ(got[i].values.size(), expected.values.size());
    EXPECT_EQ(got[i].tail_mass.size(), expected.tail_mass.size());
  }
}

TEST_F(DeviceTeacherTest, GraphsAreCapturedOncePerPaddedSizeAndGiveTheSameRows) {
  const std::string digest = Load(on_device_)->info().digest;
  on_device_.cuda_graphs = true;
  on_device_.batch_rows = 8;
  on_device_.max_batch_rows = 12;
  const auto teacher = Load(on_device_);
  EXPECT_NE(teacher->info().digest, digest);
  EXPECT_THAT(runtime_.captured(), ElementsAre(1));  // the warm-up
  const std::vector<float> expected = Logits(*Load(on_cpu_));
  runtime_.replays = 0;
  for (const int64_t rows : {8, 5, 12, 11, 3}) {  // of 8, 8, 12, 12 and 4
    std::vector<float> logits(static_cast<size_t>(rows * kClasses));
    ASSERT_THAT(teacher->ComputeLogits(inputs_.data_ptr<float>(), rows, logits.data()), IsOk());
    // A row's last bits depend on the size of its batch.
    for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], expected[i], 1e-4) << rows;
  }
  EXPECT_THAT(runtime_.captured(), ElementsAre(1, 8, 12, 4));
  EXPECT_EQ(runtime_.replays, 5);
  // Larger than all sizes: as it is.
  const at::Tensor many = torch::rand({20, 1, 8, 8});
  std::vector<float> logits(20 * kClasses);
  EXPECT_THAT(teacher->ComputeLogits(many.data_ptr<float>(), 20, logits.data()), IsOk());
  EXPECT_EQ(runtime_.replays, 5);
}

TEST_F(DeviceTeacherTest, WhereNothingCanBeCapturedItComputesAsItIs) {
  runtime_.captures = false;
  on_device_.cuda_graphs = true;
  EXPECT_EQ(Logits(*Load(on_device_)), Logits(*Load(on_cpu_)));
}

TEST_F(DeviceTeacherTest, GraphsAreNotForACpu) {
  const std::string digest = Load(on_cpu_)->info().digest;
  on_cpu_.cuda_graphs = true;
  EXPECT_EQ(Load(on_cpu_)->info().digest, digest);
}

TEST_F(DeviceTeacherTest, EncodesWhatAHalfCacheHolds) {
  on_device_.half_logits = true;
  std::vector<float> halves = Logits(*Load(on_device_));
  const SoftTargetFormat format;
  EncodedRows rows = RowsFor(kRows, kClasses, format);
  ASSERT_THAT(Load(on_device_)
                  ->ComputeSoftTargets(inputs_.data_ptr<float>(), kRows,
                                       {{kRows, format, BuffersOf(rows)}}),
              IsOk());
  EXPECT_EQ(rows.values, EncodeSoftTargets(halves.data(), kRows, kClasses, format).values);
}

TEST_F(DeviceTeacherTest, Fault52_ALogitThatIsNotFiniteIsAnErrorOfItsPartAlone) {
  SaveSource("    return torch.flatten(x, 1)[:, 0:10] * 1e38\n");
  for (const bool half : {false, true}) {
    on_device_.half_logits = half;
    const auto teacher = Load(on_device_);
    at::Tensor inputs = inputs_.clone();
    const auto encode = [&](std::vector<EncodedRows>* rows) {
      const SoftTargetFormat format;
      std::vector<EncodedPart> parts;
      for (const int64_t count : {int64_t{2}, int64_t{3}, kRows - 5}) {
        rows->push_back(RowsFor(count, kClasses, format));
        parts.push_back({count, format, {}});
      }
      for (size_t i = 0; i < parts.size(); ++i) parts[i].output = BuffersOf((*rows)[i]);
      auto answers = teacher->ComputeSoftTargets(inputs.data_ptr<float>(), kRows, parts);
      EXPECT_THAT(answers, IsOk());
      return *std::move(answers);
    };
    std::vector<EncodedRows> expected;
    EXPECT_THAT(encode(&expected), ::testing::Each(IsOk()));
    inputs[3][0][0][3] = 100;  // row 1 of the second part
    std::vector<EncodedRows> got;
    const std::vector<absl::Status> answers = encode(&got);
    EXPECT_THAT(answers[0], IsOk());
    EXPECT_THAT(answers[1], StatusIs(absl::StatusCode::kInternal,
                                     HasSubstr("answered with inf for class 3 of row 1")));
    EXPECT_THAT(answers[2], IsOk());
    EXPECT_EQ(got[0].values, expected[0].values);
    EXPECT_EQ(got[2].values, expected[2].values);
    // As logits: halves keep it, where the cache's would become the largest number.
    std::vector<float> logits(kRows * kClasses);
    ASSERT_THAT(teacher->ComputeLogits(inputs.data_ptr<float>(), kRows, logits.data()), IsOk());
    EXPECT_EQ(FirstUnfiniteRow(logits.data(), 0, kRows, kClasses), 3);
    EXPECT_EQ(FirstUnfiniteRow(logits.data(), 4, kRows, kClasses), std::nullopt);
  }
}

// --- no memory ---

class NoMemoryTest : public DeviceTeacherTest {
 protected:
  // Copies of more than `rows` rows find no memory.
  void AllowRows(int64_t rows, std::function<void()> thrower) {
    runtime_.on_copy_in = [rows, thrower = std::move(thrower)](const at::Tensor& host) {
      if (host.size(0) > rows) thrower();
    };
  }
  static void ThrowTyped() {
    TORCH_CHECK_WITH(OutOfMemoryError, false,
                     "CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 2.00 GiB total)");
  }
  static void ThrowUntyped() {
    TORCH_CHECK(false, "CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 2.00 GiB total)");
  }
};

TEST_F(NoMemoryTest, IsSaidSoInEveryFormAndTheCacheIsEmptied) {
  const auto teacher = Load(on_device_);
  std::vector<float> logits(kRows * kClasses);
  int64_t emptied = 0;
  for (const auto& thrower : {&ThrowTyped, &ThrowUntyped}) {
    AllowRows(0, thrower);
    EXPECT_THAT(teacher->ComputeLogits(inputs_.data_ptr<float>(), kRows, logits.data()),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         AllOf(HasSubstr("cuda:1"), HasSubstr("out of memory"))));
    EXPECT_EQ(runtime_.emptied, ++emptied);
  }
}

TEST_F(NoMemoryTest, OfTheModelComesThroughTheInterpreter) {
  // What the allocator throws inside of a forward pass reaches us as text alone.
  SaveSource(
      "    assert x.size(0) <= 6, \"CUDA out of memory. Tried to allocate 20.00 MiB\"\n"
      "    return torch.flatten(x, 1)[:, 0:10]\n");
  const auto teacher = Load(on_device_);
  std::vector<float> logits(kRows * kClasses);
  EXPECT_THAT(teacher->ComputeLogits(inputs_.data_ptr<float>(), kRows, logits.data()),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("out of memory")));
}

TEST_F(NoMemoryTest, SplitsTheBatchAndGoesOn) {
  const auto teacher = Load(on_device_);
  const std::vector<float> expected = Logits(*teacher);
  ComputeScheduler scheduler({}, Clock::Real());
  int64_t splits = 0;
  for (const auto& thrower : {&ThrowTyped, &ThrowUntyped}) {
    AllowRows(kRows / 2, thrower);
    std::vector<float> logits(kRows * kClasses);
    ASSERT_THAT(
        scheduler.Compute(*teacher, inputs_.data_ptr<float>(), kRows, logits.data(), Lane::kStream),
        IsOk());
    // A row in a batch of 6 and in one of 12 may differ in the last bits.
    for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], expected[i], 1e-4);
    EXPECT_EQ(scheduler.statistics()["mine"].split_batch_count, ++splits);
    EXPECT_EQ(runtime_.emptied, splits);
  }
}

TEST_F(NoMemoryTest, OtherErrorsAreNotTakenForIt) {
  const auto teacher = Load(on_device_);
  runtime_.on_synchronize = [] { TORCH_CHECK(false, "CUDA error: an illegal memory access"); };
  std::vector<float> logits(kRows * kClasses);
  EXPECT_THAT(teacher->ComputeLogits(inputs_.data_ptr<float>(), kRows, logits.data()),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("cuda:1"), HasSubstr("illegal memory access"))));
  EXPECT_EQ(runtime_.emptied, 0);
}

TEST_F(DeviceTeacherTest, TwoDevicesAnswerAsOneWhileOneFails) {
  TorchTeacherOptions other = on_device_;
  other.device = "cuda:0";
  const std::shared_ptr<Teacher> healthy = Load(on_device_);
  FakeDeviceRuntime broken(2);
  other.devices = &broken;
  const std::shared_ptr<Teacher> failing = Load(other);
  broken.on_synchronize = [] {
    throw std::runtime_error("CUDA error: unspecified launch failure");
  };
  ASSERT_OK_AND_ASSIGN(const auto teacher,
                       MakeReplicatedTeacher({{"cuda:0", failing}, {"cuda:1", healthy}}));
  EXPECT_EQ(Logits(*teacher), Logits(*healthy));
}

}  // namespace
}  // namespace distillery
