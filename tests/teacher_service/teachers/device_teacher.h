// A teacher on a device that is none, or on a GPU.
#pragma once

#include <torch/script.h>

#include <memory>
#include <string>
#include <vector>

#include "common/nn/architecture.h"
#include "common/nn/model_file.h"
#include "teacher_service/teachers/torch_teacher.h"
#include "tests/common/nn/fake_device.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {

inline constexpr int64_t kPixels = 64;
inline constexpr int64_t kClasses = 10;

class DeviceTeacherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    card_.samples = SampleSpec::Pictures({1, 8, 8}, 255);
    card_.mean = {0.25F};
    card_.deviation = {0.5F};
    card_.class_names = std::vector<std::string>(kClasses, "c");
    on_cpu_.name = "mine";
    on_cpu_.model_path = folder_.File("teacher.pt");
    ASSERT_OK_AND_ASSIGN(
        const auto module,
        BuildArchitecture("mlp:64-32-10", card_.samples.picture_shape(), kClasses, 1));
    ASSERT_THAT(SaveModel(on_cpu_.model_path, module, card_), IsOk());
    on_device_ = on_cpu_;
    on_device_.device = "cuda:1";
    on_device_.devices = &runtime_;
  }
  // A model of TorchScript source in place of the network.
  void SaveSource(const std::string& forward) {
    torch::jit::Module module("Small");
    module.define("def forward(self, x: Tensor) -> Tensor:\n" + forward);
    ASSERT_THAT(SaveModel(on_cpu_.model_path, module, card_), IsOk());
  }
  static std::shared_ptr<Teacher> Load(const TorchTeacherOptions& options) {
    auto teacher = LoadTorchTeacher(options);
    EXPECT_THAT(teacher, IsOk());
    return teacher.ok() ? std::shared_ptr<Teacher>(*std::move(teacher)) : nullptr;
  }
  std::vector<float> Logits(Teacher& teacher) {
    std::vector<float> logits(kRows * kClasses);
    EXPECT_THAT(teacher.ComputeLogits(inputs_.data_ptr<float>(), kRows, logits.data()), IsOk());
    return logits;
  }

  static constexpr int64_t kRows = 12;
  const TemporaryFolder folder_;
  FakeDeviceRuntime runtime_{/*devices=*/2};
  ModelCard card_;
  TorchTeacherOptions on_cpu_;
  TorchTeacherOptions on_device_;
  const at::Tensor inputs_ = torch::rand({kRows, 1, 8, 8});
};

// Bytes of an image and its pixels, which they become on the device.
inline void ExpectBytesAreAsGoodAsPixels(Teacher& teacher, int pixel_max) {
  constexpr int64_t kCount = 12;
  std::vector<uint8_t> bytes(kCount * kPixels);
  std::vector<float> pixels(bytes.size());
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(i * 37 % static_cast<size_t>(pixel_max + 1));
    pixels[i] = static_cast<float>(bytes[i]) / static_cast<float>(pixel_max);
  }
  std::vector<float> of_bytes(kCount * kClasses);
  std::vector<float> of_pixels(kCount * kClasses);
  ASSERT_TRUE(teacher.takes_bytes());
  ASSERT_THAT(teacher.ComputeLogitsOfBytes(bytes.data(), pixel_max, kCount, of_bytes.data()),
              IsOk());
  ASSERT_THAT(teacher.ComputeLogits(pixels.data(), kCount, of_pixels.data()), IsOk());
  EXPECT_EQ(of_bytes, of_pixels);
}

}  // namespace distillery
