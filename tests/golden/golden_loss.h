// What a golden case says of a loss, and the comparison with it.
#pragma once

#include <cmath>

#include "student_worker/training/distillation_loss.h"
#include "tests/golden/golden_tensor.h"

namespace distillery {

// The options that every case names.
inline LossOptions LossOptionsOf(const nlohmann::json& one) {
  LossOptions options;
  options.alpha = one.at("alpha").get<double>();
  options.temperature = one.at("temperature").get<double>();
  options.soft = ParseSoftLoss(one.at("name").get<std::string>()).value();
  options.label_smoothing = one.at("label_smoothing").get<double>();
  return options;
}

// `gradient` is that of the student's numbers, which the case has row by row or end to end.
inline void ExpectLoss(const DistillationLoss& loss, const at::Tensor& gradient,
                       const nlohmann::json& one, double tolerance) {
  const auto check = [&](const at::Tensor& got, const char* name) {
    const auto want = one.at(name).get<double>();
    EXPECT_NEAR(got.item<double>(), want, tolerance * (1 + std::abs(want))) << name;
  };
  check(loss.total, "total");
  check(loss.soft, "soft");
  check(loss.hard, "hard");
  const at::Tensor wanted = torch::tensor(Flatten(one.at("gradient")), torch::kFloat64);
  EXPECT_TRUE(at::allclose(gradient.flatten().to(torch::kFloat64), wanted, tolerance, tolerance))
      << gradient << wanted;
}

}  // namespace distillery
