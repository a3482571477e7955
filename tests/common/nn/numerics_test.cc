#include "common/nn/numerics.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/script.h>

#include <stdexcept>

#include "tests/common/nn/small_model.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(CatchTorchErrors, PassesAStatusThrough) {
  EXPECT_THAT(CatchTorchErrors([] { return absl::OkStatus(); }), IsOk());
  EXPECT_THAT(CatchTorchErrors([] { return absl::NotFoundError("x"); }),
              StatusIs(absl::StatusCode::kNotFound, "x"));
}

TEST(CatchTorchErrors, TurnsExceptionsIntoOneLine) {
  const absl::Status status = CatchTorchErrors([]() -> absl::Status {
    torch::mm(torch::ones({2, 3}), torch::ones({2, 3}));
    return absl::OkStatus();
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal,
                               AllOf(HasSubstr("2x3 and 2x3"), Not(HasSubstr("\n")))));
  EXPECT_THAT(CatchTorchErrors([]() -> absl::Status { throw std::runtime_error("odd\nmore"); }),
              StatusIs(absl::StatusCode::kInternal, "odd"));
}

TEST(CatchTorchErrors, OfATorchScriptTraceTheErrorIsKept) {
  torch::jit::Module module =
      ModuleOf("def forward(self, x: Tensor) -> Tensor:\n    return torch.mm(x, x)\n");
  EXPECT_THAT(CatchTorchErrors([&]() -> absl::Status {
                module.forward({torch::ones({2, 3})});
                return absl::OkStatus();
              }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("2x3 and 2x3")));
}

TEST(Numerics, ConfigureSetsTheThreads) {
  ConfigureTorch(2);
  EXPECT_EQ(at::get_num_threads(), 2);
  ConfigureTorch(1);
  EXPECT_EQ(at::get_num_threads(), 1);
}

// Two threads split a product otherwise than one, and round otherwise.
TEST(Numerics, ConfigureSetsTheThreadsOfTheBlasToo) {
  auto* const threads =
      reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_num_threads"));
  if (threads == nullptr) GTEST_SKIP() << "the BLAS here is not OpenBLAS";
  const at::Tensor inputs = torch::randn({256, 784});
  const at::Tensor weights = torch::randn({784, 1200});
  ConfigureTorch(1);
  EXPECT_EQ(threads(), 1);
  const at::Tensor product = inputs.mm(weights);
  ConfigureTorch(2);
  EXPECT_EQ(threads(), 2);
  const at::Tensor by_two = inputs.mm(weights);
  EXPECT_TRUE(torch::equal(by_two, inputs.mm(weights)));
  ConfigureTorch(1);
  EXPECT_TRUE(torch::equal(product, inputs.mm(weights)));
}

TEST(Numerics, FingerprintNamesWhatBitsDependOn) {
  const std::string fingerprint = NumericsFingerprint();
  for (const char* const part :
       {"isa=", "onednn=", "blas=", "torch=", "device=cpu", "precision=float32", "policy="}) {
    EXPECT_THAT(fingerprint, HasSubstr(part));
  }
  EXPECT_EQ(NumericsFingerprint(), fingerprint);
  EXPECT_THAT(ComputeDescription(3), HasSubstr("computing with 3 thread(s)"));
}

}  // namespace
}  // namespace distillery
