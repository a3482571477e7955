#include "teacher_service/teachers/torch_teacher.h"

#include <torch/script.h>

#include <fstream>
#include <thread>

#include "common/nn/architecture.h"
#include "common/nn/evaluation.h"
#include "common/nn/model_call.h"
#include "common/nn/model_file.h"
#include "teacher_service/teachers/finite_rows.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"
#include "tests/common/zip_file.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class TorchTeacherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    card_.architecture = kStudent;
    card_.samples = SampleSpec::Pictures({1, 8, 8}, 255);
    card_.mean = {0.25F};
    card_.deviation = {0.5F};
    card_.class_names = std::vector<std::string>(10, "c");
    options_.name = "mine";
    options_.model_path = folder_.File("teacher.pt");
    ASSERT_OK_AND_ASSIGN(module_,
                         BuildArchitecture(kStudent, card_.samples.picture_shape(), 10, 1));
    ASSERT_THAT(SaveModel(options_.model_path, module_, card_), IsOk());
  }
  std::string Digest(const TorchTeacherOptions& options) {
    auto teacher = LoadTorchTeacher(options);
    EXPECT_THAT(teacher, IsOk());
    return (*teacher)->info().digest;
  }

  static constexpr char kStudent[] = "mlp:64-32-10,dropout=0.5";
  const TemporaryFolder folder_;
  TorchTeacherOptions options_;
  torch::jit::Module module_;
  ModelCard card_;
};

TEST_F(TorchTeacherTest, ComputesTheModelsLogitsWithDropoutOff) {
  ASSERT_OK_AND_ASSIGN(const auto teacher, LoadTorchTeacher(options_));
  const at::Tensor x = torch::rand({7, 1, 8, 8});
  std::vector<float> first(70);
  std::vector<float> second(70);
  ASSERT_THAT(teacher->ComputeLogits(x.data_ptr<float>(), 7, first.data()), IsOk());
  ASSERT_THAT(teacher->ComputeLogits(x.data_ptr<float>(), 7, second.data()), IsOk());
  EXPECT_EQ(first, second);
  module_.eval();
  const c10::InferenceMode inference;
  EXPECT_TRUE(at::equal(torch::tensor(first).view({7, 10}), ForwardLogits(module_, card_, x)));
}

TEST_F(TorchTeacherTest, ThreadsThatComputeAtOnceGetTheSameBits) {
  ASSERT_OK_AND_ASSIGN(const auto teacher, LoadTorchTeacher(options_));
  const at::Tensor x = torch::rand({32, 1, 8, 8});
  std::vector<std::vector<float>> logits(4, std::vector<float>(320));
  std::vector<std::thread> threads;
  for (auto& rows : logits) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_THAT(teacher->ComputeLogits(x.data_ptr<float>(), 32, rows.data()), IsOk());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& rows : logits) EXPECT_EQ(rows, logits[0]);
}

TEST_F(TorchTeacherTest, DescribesItsModel) {
  ASSERT_OK_AND_ASSIGN(const auto teacher, LoadTorchTeacher(options_));
  const TeacherInfo& info = teacher->info();
  EXPECT_EQ(info.model_name, "mine");
  EXPECT_EQ(info.parameter_count, 64 * 32 + 32 + 32 * 10 + 10);
  EXPECT_EQ(info.batch_rows, 256);
  EXPECT_EQ(info.card.class_count(), 10);
  EXPECT_THAT(info.numerics_fingerprint, HasSubstr("threads=1"));
  EXPECT_EQ(info.digest.size(), 64U);
}

TEST_F(TorchTeacherTest, DigestIsOfTheModelAndWhatElseChangesOutputs) {
  const std::string digest = Digest(options_);
  EXPECT_EQ(Digest(options_), digest);
  TorchTeacherOptions other = options_;
  other.batch_rows = 128;
  EXPECT_NE(Digest(other), digest);
  other = options_;
  other.compute_threads = 2;
  EXPECT_NE(Digest(other), digest);
  other = options_;
  other.card = card_;
  EXPECT_EQ(Digest(other), digest) << "the file's own card, given by hand, changes nothing";
  other.card->mean = {0.5F};
  EXPECT_NE(Digest(other), digest);
  other = options_;
  other.precision = "bfloat16";
  EXPECT_NE(Digest(other), digest);
  other = options_;
  other.half_logits = true;
  EXPECT_NE(Digest(other), digest);
  other = options_;
  other.max_batch_rows = 7;
  EXPECT_EQ(Digest(other), digest) << "how queries are batched is no promise";
  // The same model under another name is the same teacher; another seed is another.
  other = options_;
  other.model_path = folder_.File("renamed.pt");
  std::filesystem::copy_file(options_.model_path, other.model_path);
  EXPECT_EQ(Digest(other), digest);
  ASSERT_OK_AND_ASSIGN(const auto module,
                       BuildArchitecture(kStudent, card_.samples.picture_shape(), 10, 2));
  ASSERT_THAT(SaveModel(options_.model_path, module, card_), IsOk());
  EXPECT_NE(Digest(options_), digest);
}

TEST_F(TorchTeacherTest, ServesAFrozenModule) {
  module_.eval();
  ASSERT_THAT(SaveModel(options_.model_path, torch::jit::freeze(module_), card_), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto teacher, LoadTorchTeacher(options_));
  const at::Tensor x = torch::rand({2, 1, 8, 8});
  std::vector<float> logits(20);
  ASSERT_THAT(teacher->ComputeLogits(x.data_ptr<float>(), 2, logits.data()), IsOk());
  EXPECT_TRUE(at::allclose(torch::tensor(logits).view({2, 10}), ForwardLogits(module_, card_, x)));
}

TEST_F(TorchTeacherTest, ComputesInBfloat16WithinItsPrecision) {
  ASSERT_OK_AND_ASSIGN(const auto exact, LoadTorchTeacher(options_));
  options_.precision = "bfloat16";
  ASSERT_OK_AND_ASSIGN(const auto rounded, LoadTorchTeacher(options_));
  const at::Tensor x = torch::rand({5, 1, 8, 8});
  std::vector<float> a(50);
  std::vector<float> b(50);
  ASSERT_THAT(exact->ComputeLogits(x.data_ptr<float>(), 5, a.data()), IsOk());
  ASSERT_THAT(rounded->ComputeLogits(x.data_ptr<float>(), 5, b.data()), IsOk());
  EXPECT_NE(a, b);
  // bfloat16 has 8 bits of mantissa; three layers' roundings add up.
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 0.05);
}

TEST_F(TorchTeacherTest, UnknownDevicesAndPrecisionsAreRefused) {
  TorchTeacherOptions other = options_;
  other.precision = "float23";
  EXPECT_THAT(LoadTorchTeacher(other),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("did you mean")));
  other.precision = "float16";
  EXPECT_THAT(LoadTorchTeacher(other),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("CUDA")));
  other = options_;
  other.device = "gpu";
  EXPECT_THAT(LoadTorchTeacher(other), StatusIs(absl::StatusCode::kInvalidArgument));
  other.device = "cuda:99";
  EXPECT_THAT(LoadTorchTeacher(other),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("cuda:99 is not there")));
}

TEST_F(TorchTeacherTest, Fault52_ALogitThatIsNotFiniteIsAnErrorOfItsRowAlone) {
  // Weights of 1 and no bias: 3e38 overflows on its way, 0.5 does not.
  {
    const torch::NoGradGuard no_grad;
    for (at::Tensor parameter : module_.parameters()) parameter.fill_(parameter.dim() > 1 ? 1 : 0);
  }
  card_.deviation = {1};
  ASSERT_THAT(SaveModel(options_.model_path, module_, card_), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto teacher, LoadTorchTeacher(options_));
  at::Tensor x = torch::full({3, 1, 8, 8}, 0.5);
  std::vector<float> expected(30);
  ASSERT_THAT(teacher->ComputeLogits(x.data_ptr<float>(), 3, expected.data()), IsOk());
  EXPECT_THAT(CheckFiniteRows(teacher->info(), expected.data(), 3), IsOk());
  x[1].fill_(3e38);
  std::vector<float> logits(30);
  ASSERT_THAT(teacher->ComputeLogits(x.data_ptr<float>(), 3, logits.data()), IsOk());
  EXPECT_THAT(CheckFiniteRows(teacher->info(), logits.data(), 3),
              StatusIs(absl::StatusCode::kInternal,
                       HasSubstr("model mine answered with inf for class 0 of row 1")));
  std::fill_n(logits.begin() + 10, 10, 0);
  std::fill_n(expected.begin() + 10, 10, 0);
  EXPECT_EQ(logits, expected) << "the others are as they were";
}

TEST_F(TorchTeacherTest, AModelThatAnswersNothingFiniteIsRefusedAtItsLoad) {
  {
    const torch::NoGradGuard no_grad;
    for (at::Tensor parameter : module_.parameters()) parameter.fill_(3e38);
  }
  card_.mean = {-1};
  ASSERT_THAT(SaveModel(options_.model_path, module_, card_), IsOk());
  EXPECT_THAT(LoadTorchTeacher(options_),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("answered with")));
}

TEST_F(TorchTeacherTest, ACompiledModelIsToldByItsContentAndNeedsACardAndABuildThatLoadsIt) {
  std::ofstream(options_.model_path, std::ios::binary)
      << ZipOf({{"net/data/aotinductor/model/net.so", "no program"}});
  EXPECT_THAT(LoadTorchTeacher(options_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--card")));
  options_.card = card_;
  const auto refused = LoadTorchTeacher(options_);
  EXPECT_FALSE(refused.ok()) << "it is no package";
  EXPECT_THAT(refused.status().message(), HasSubstr("AOTInductor"));
  // TorchScript under the ending of a package is TorchScript.
  options_.model_path = folder_.File("teacher.pt2");
  ASSERT_THAT(SaveModel(options_.model_path, module_, card_), IsOk());
  EXPECT_THAT(LoadTorchTeacher(options_), IsOk());
}

TEST_F(TorchTeacherTest, Fault68_WhatIsNoFunctionOfEachRowIsNotServed) {
  const auto refuse = [&](const std::string& result, const std::string& reason) {
    torch::jit::Module module("Small");
    module.define(
        "def forward(self, x: Tensor) -> Tensor:\n"
        "    y = torch.flatten(x, 1)[:, 0:10]\n    return " +
        result + "\n");
    ASSERT_THAT(SaveModel(options_.model_path, module, card_), IsOk());
    EXPECT_THAT(LoadTorchTeacher(options_),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("teacher.pt"), HasSubstr(reason))))
        << result;
  };
  refuse("torch.dropout(y, 0.1, True)", "random numbers");
  refuse("torch.softmax(y, 0) * 10", "depends on its batch");
  refuse("torch.sigmoid(y)", "sigmoid");
  card_.outputs_probabilities = true;
  refuse("y", "go down to");
  refuse("torch.log_softmax(y, 1)", "log-probabilities");
}

TEST_F(TorchTeacherTest, ThePrecisionOfTheFileIsThatOfTheTeacherUnlessOneIsAskedFor) {
  const std::string exact = Digest(options_);
  options_.precision = "float32";
  EXPECT_EQ(Digest(options_), exact) << "what a float32 file is computed in anyway";
  CastFloats(module_, at::kBFloat16);
  ASSERT_THAT(SaveModel(options_.model_path, module_, card_), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto widened, LoadTorchTeacher(options_));
  options_.precision = "";
  ASSERT_OK_AND_ASSIGN(const auto rounded, LoadTorchTeacher(options_));
  EXPECT_THAT(rounded->info().numerics_fingerprint, HasSubstr("teacher_precision=bfloat16"));
  EXPECT_THAT(widened->info().numerics_fingerprint, Not(HasSubstr("teacher_precision")));
  const at::Tensor x = torch::rand({2, 1, 8, 8});
  std::vector<float> a(20);
  std::vector<float> b(20);
  ASSERT_THAT(widened->ComputeLogits(x.data_ptr<float>(), 2, a.data()), IsOk());
  ASSERT_THAT(rounded->ComputeLogits(x.data_ptr<float>(), 2, b.data()), IsOk());
  EXPECT_NE(a, b);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 0.05);
}

TEST_F(TorchTeacherTest, AFrozenModelAndAPrecisionThatItCannotTakeAreNamed) {
  module_.eval();
  ASSERT_THAT(SaveModel(options_.model_path, torch::jit::freeze(module_), card_), IsOk());
  options_.precision = "bfloat16";
  EXPECT_THAT(LoadTorchTeacher(options_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("without --precision")));
}

TEST_F(TorchTeacherTest, AModelThatCannotBeLoadedIsRefused) {
  options_.model_path = folder_.File("absent.pt");
  EXPECT_THAT(LoadTorchTeacher(options_), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace distillery
