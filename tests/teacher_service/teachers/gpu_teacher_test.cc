// The teacher on a GPU, where there is one.
#include <cmath>
#include <thread>

#include "common/nn/device_runtime.h"
#include "teacher_service/compute_scheduler.h"
#include "tests/teacher_service/teachers/device_teacher.h"

namespace distillery {
namespace {

class GpuTeacherTest : public DeviceTeacherTest {
 protected:
  void SetUp() override {
    if (DeviceRuntime::Cuda().device_count() == 0) GTEST_SKIP() << "no CUDA device";
    DeviceTeacherTest::SetUp();
    on_device_.device = "cuda";
    on_device_.devices = nullptr;
  }
  // The largest |difference| of two tables of logits over the largest |logit|.
  static double RelativeError(const std::vector<float>& got, const std::vector<float>& expected) {
    double difference = 0;
    double largest = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      difference = std::max<double>(difference, std::abs(got[i] - expected[i]));
      largest = std::max<double>(largest, std::abs(expected[i]));
    }
    return difference / largest;
  }
};

TEST_F(GpuTeacherTest, AgreesWithTheCpuWithinItsPrecision) {
  const std::vector<float> expected = Logits(*Load(on_cpu_));
  for (const auto& [precision, bound] : std::vector<std::pair<std::string, double>>{
           {"float32", 1e-5}, {"float16", 5e-3}, {"bfloat16", 3e-2}}) {
    on_device_.precision = precision;
    EXPECT_LT(RelativeError(Logits(*Load(on_device_)), expected), bound) << precision;
  }
}

TEST_F(GpuTeacherTest, TakesBytes) {
  const auto teacher = Load(on_device_);
  ExpectBytesAreAsGoodAsPixels(*teacher, 16);
  ExpectBytesAreAsGoodAsPixels(*teacher, 255);
}

TEST_F(GpuTeacherTest, RepeatsItsBitsOnEveryStream) {
  const auto teacher = Load(on_device_);
  const std::vector<float> expected = Logits(*teacher);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int repeat = 0; repeat < 50; ++repeat) EXPECT_EQ(Logits(*teacher), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(GpuTeacherTest, GraphsGiveTheSameLogits) {
  const std::vector<float> expected = Logits(*Load(on_device_));
  on_device_.cuda_graphs = true;
  const auto teacher = Load(on_device_);
  for (int repeat = 0; repeat < 3; ++repeat) {
    EXPECT_LT(RelativeError(Logits(*teacher), expected), 1e-5);
  }
}

TEST_F(GpuTeacherTest, EncodesAsTheCpuDoes) {
  const std::vector<float> logits = Logits(*Load(on_device_));
  SoftTargetFormat format;
  format.temperature = 4;
  format.encoding = Encoding::kTopK;
  format.top_k = 3;
  EncodedRows rows = RowsFor(kRows, kClasses, format);
  ASSERT_THAT(Load(on_device_)
                  ->ComputeSoftTargets(inputs_.data_ptr<float>(), kRows,
                                       {{kRows, format, BuffersOf(rows)}}),
              IsOk());
  EXPECT_EQ(rows.class_indexes,
            EncodeSoftTargets(logits.data(), kRows, kClasses, format).class_indexes);
}

TEST_F(GpuTeacherTest, SurvivesABatchThatIsTooLarge) {
  SaveSource(
      "    y = torch.zeros([1], device=x.device)\n"
      "    if x.size(0) > 6:\n"
      "        y = torch.zeros([1 << 44], device=x.device)\n"
      "    return torch.flatten(x, 1)[:, 0:10] + y[0]\n");  // used, else it is optimized away
  const auto teacher = Load(on_device_);
  std::vector<float> logits(kRows * kClasses);
  EXPECT_THAT(teacher->ComputeLogits(inputs_.data_ptr<float>(), kRows, logits.data()),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(teacher->ComputeLogits(inputs_.data_ptr<float>(), 6, logits.data()), IsOk());
}

}  // namespace
}  // namespace distillery
