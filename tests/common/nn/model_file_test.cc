#include "common/nn/model_file.h"

#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "common/base/archive.h"
#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/nn/architecture.h"
#include "common/nn/evaluation.h"
#include "common/nn/module_weights.h"
#include "tests/common/nn/small_model.h"
#include "tests/common/temporary_folder.h"
#include "tests/common/zip_file.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ModelFile : public ::testing::Test {
 protected:
  std::string Path() const { return folder_.File("model.pt"); }
  void Write(const std::string& bytes) const { std::ofstream(Path(), std::ios::binary) << bytes; }
  void ExpectRefused(const ::testing::Matcher<std::string>& message,
                     const std::optional<ModelCard>& card = std::nullopt) const {
    EXPECT_THAT(LoadModel(Path(), card), StatusIs(absl::StatusCode::kInvalidArgument, message));
  }
  void Save(const torch::jit::Module& module, const ModelCard& card = SmallCard()) const {
    ASSERT_THAT(SaveModel(Path(), module, card), IsOk());
  }
  const TemporaryFolder folder_;
};

TEST_F(ModelFile, RoundTripKeepsWeightsOutputsAndCard) {
  ASSERT_OK_AND_ASSIGN(torch::jit::Module module,
                       BuildArchitecture("lenet", ImageShape{1, 8, 8}, 10, 3));
  ModelCard card = SmallCard();
  card.architecture = "lenet";
  card.samples = SampleSpec::Pictures({1, 8, 8}, 255);
  card.mean = {0.25F};
  card.class_names = std::vector<std::string>(10, "c");
  Save(module, card);
  ASSERT_OK_AND_ASSIGN(LoadedModel loaded, LoadModel(Path()));
  EXPECT_EQ(WeightsOf(loaded.module)->Sha256(), WeightsOf(module)->Sha256());
  EXPECT_EQ(ModelCardToJson(loaded.card), ModelCardToJson(card));
  const at::Tensor x = torch::rand({5, 1, 8, 8});
  module.eval();
  EXPECT_TRUE(at::equal(ForwardLogits(loaded.module, card, x), ForwardLogits(module, card, x)));
}

TEST_F(ModelFile, DigestIsOfTheFilesBytes) {
  Save(BrightnessModule());
  ASSERT_OK_AND_ASSIGN(const LoadedModel loaded, LoadModel(Path()));
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(Path(), 1 << 20));
  EXPECT_EQ(loaded.sha256, Sha256Hex(bytes));
  EXPECT_EQ(loaded.file_bytes, static_cast<int64_t>(bytes.size()));
}

TEST_F(ModelFile, LoadsInEvalMode) {
  torch::jit::Module module = BrightnessModule();
  module.train();
  Save(module);
  ASSERT_OK_AND_ASSIGN(const LoadedModel loaded, LoadModel(Path()));
  EXPECT_FALSE(loaded.module.is_training());
}

TEST_F(ModelFile, AFrozenModuleIsGoodAsTeacher) {
  ASSERT_OK_AND_ASSIGN(torch::jit::Module module,
                       BuildArchitecture("mlp:4-3-2,dropout=0.5", ImageShape{1, 2, 2}, 2, 1));
  module.eval();
  const torch::jit::Module frozen = torch::jit::freeze(module);
  ASSERT_FALSE(frozen.hasattr("training"));
  Save(frozen);
  ASSERT_OK_AND_ASSIGN(LoadedModel loaded, LoadModel(Path()));
  const at::Tensor x = torch::rand({3, 1, 2, 2});
  EXPECT_TRUE(at::allclose(ForwardLogits(loaded.module, loaded.card, x),
                           ForwardLogits(module, SmallCard(), x)));
}

TEST_F(ModelFile, MissingFileIsNotFound) {
  EXPECT_THAT(LoadModel(Path()), StatusIs(absl::StatusCode::kNotFound, HasSubstr("model.pt")));
}

TEST_F(ModelFile, WhatIsNoTorchScriptIsRefused) {
  Write("");
  ExpectRefused(HasSubstr("is not a TorchScript model"));
  Write("PK\x03\x04 this is no archive");
  ExpectRefused(HasSubstr("is not a TorchScript model"));
  Save(BrightnessModule());
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(Path(), 1 << 20));
  for (const size_t size : {bytes.size() - 1, bytes.size() / 2, size_t{100}}) {
    Write(bytes.substr(0, size));
    ExpectRefused(HasSubstr("is not a TorchScript model"));
  }
}

TEST_F(ModelFile, WithoutACardOneMustBeGiven) {
  BrightnessModule().save(Path());
  ExpectRefused(AllOf(HasSubstr("carries no distillery.json"), HasSubstr("--card")));
  ASSERT_OK_AND_ASSIGN(const LoadedModel loaded, LoadModel(Path(), SmallCard()));
  EXPECT_EQ(loaded.card.class_names, SmallCard().class_names);
}

TEST_F(ModelFile, AGivenCardReplacesTheFilesOwn) {
  Save(BrightnessModule());
  ModelCard other = SmallCard();
  other.class_names = {"night", "day"};
  ASSERT_OK_AND_ASSIGN(const LoadedModel loaded, LoadModel(Path(), other));
  EXPECT_EQ(loaded.card.class_names[1], "day");
}

TEST_F(ModelFile, ADamagedCardNamesTheFile) {
  BrightnessModule().save(Path(), {{"distillery.json", "{\"format\": 1}"}});
  ExpectRefused(AllOf(HasSubstr("model.pt"), HasSubstr("input_shape is missing")));
}

TEST_F(ModelFile, AForwardOfTwoInputsIsRefused) {
  Save(ModuleOf("def forward(self, x: Tensor, y: Tensor) -> Tensor:\n    return x + y\n"));
  ExpectRefused(HasSubstr("takes 2 inputs, not one"));
}

TEST_F(ModelFile, AModuleWithoutForwardIsRefused) {
  Save(ModuleOf("def infer(self, x: Tensor) -> Tensor:\n    return x\n"));
  ExpectRefused(HasSubstr("no forward"));
}

TEST_F(ModelFile, AnOutputThatIsNoTensorIsRefused) {
  Save(ModuleOf("def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:\n    return (x, x)\n"));
  ExpectRefused(HasSubstr("not one tensor"));
}

TEST_F(ModelFile, AnotherNumberOfClassesNamesBothShapes) {
  ModelCard card = SmallCard();
  card.class_names = {"a", "b", "c"};
  Save(BrightnessModule(), card);
  ExpectRefused(AllOf(HasSubstr("[4, 2]"), HasSubstr("[4, 3]")));
}

TEST_F(ModelFile, AModelThatFailsOnTheCardsInputSaysWhy) {
  ASSERT_OK_AND_ASSIGN(const torch::jit::Module module,
                       BuildArchitecture("mlp:64-10", ImageShape{1, 8, 8}, 10, 1));
  Save(module);  // the card says 1 x 2 x 2
  ExpectRefused(AllOf(HasSubstr("model.pt"), HasSubstr("4x4 and 64x10")));
}

// Writes a copy of `bytes` with one byte changed at `at`.
std::string Damaged(std::string bytes, size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
  return bytes;
}

TEST_F(ModelFile, Fault68_ADamagedFileIsNeverAnotherModel) {
  ASSERT_OK_AND_ASSIGN(torch::jit::Module module,
                       BuildArchitecture("mlp:4-3-2", ImageShape{1, 2, 2}, 2, 1));
  Save(module);
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(Path(), 1 << 20));
  ASSERT_OK_AND_ASSIGN(const LoadedModel whole, LoadModel(Path()));
  const std::string weights = WeightsOf(whole.module)->Sha256();
  int refused = 0;
  for (size_t at = 0; at < bytes.size(); at += 13) {
    Write(Damaged(bytes, at));
    const absl::StatusOr<LoadedModel> loaded = LoadModel(Path());
    if (!loaded.ok()) {
      ++refused;
      continue;
    }
    // What is left over between the parts, and what zip readers do not read.
    EXPECT_EQ(WeightsOf(loaded->module)->Sha256(), weights) << at;
    EXPECT_EQ(ModelCardToJson(loaded->card), ModelCardToJson(whole.card)) << at;
  }
  EXPECT_GT(refused, 100);
  const float weight = module.parameters().begin().operator*().data_ptr<float>()[0];
  const std::string value(reinterpret_cast<const char*>(&weight), sizeof(weight));
  Write(Damaged(bytes, bytes.find(value)));
  ExpectRefused(
      AllOf(HasSubstr("model.pt: its part "), HasSubstr("damaged"), HasSubstr("Copy it")));
}

TEST_F(ModelFile, Fault68_WhatAFileIsInsteadIsSaidWhateverItsEnding) {
  Write(ZipOf({{"net/data.pkl", "\x80\x02"}, {"net/version", "3"}}));
  ExpectRefused(AllOf(HasSubstr("model.pt is not a TorchScript model"), HasSubstr("state_dict"),
                      HasSubstr("load_state_dict")));
  const std::string renamed = folder_.File("model.onnx");
  ASSERT_THAT(SaveModel(renamed, BrightnessModule(), SmallCard()), IsOk());
  EXPECT_THAT(LoadModel(renamed), IsOk());
}

TEST_F(ModelFile, Fault68_TorchScriptOfANewerPyTorchIsNamed) {
  const auto write_code = [&](const std::string& body) {
    std::ostringstream stream;
    ModuleOf("def forward(self, x: Tensor) -> Tensor:\n    return x\n").save(stream);
    const std::string plain = stream.str();
    ASSERT_OK_AND_ASSIGN(const Archive archive, Archive::Open(plain));
    std::vector<std::pair<std::string, std::string>> entries;
    for (size_t i = 0; i < archive.names().size(); ++i) {
      std::string content = archive.Read(i, 1 << 20);
      const std::string& name = archive.names()[i];
      if (absl::EndsWith(name, ".debug_pkl")) continue;
      if (absl::StrContains(name, "/code/")) {
        content = absl::StrReplaceAll(content, {{"return x", body}});
      }
      entries.emplace_back(name, content);
    }
    Write(ZipOf(entries));
  };
  write_code("return torch.no_operator_of_today(x)");
  ExpectRefused(AllOf(HasSubstr("newer PyTorch"), HasSubstr("aten::no_operator_of_today"),
                      HasSubstr("Save it with PyTorch")));
  write_code("return ops.torchvision.nms(x)");
  ExpectRefused(AllOf(HasSubstr("torchvision::nms"), HasSubstr("not part of LibTorch")));
}

TEST_F(ModelFile, Fault68_AStudentIsNotAskedForTheValuesOfATeacher) {
  const auto module = ModuleOf(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return torch.sigmoid(torch.flatten(x, 1)[:, 0:2])\n");
  Save(module);
  ExpectRefused(HasSubstr("sigmoid"));
  EXPECT_THAT(LoadStudentModel(Path(), SmallCard()), IsOk());
  torch::jit::Module halves("Small");
  halves.register_attribute("training", c10::BoolType::get(), true);
  halves.register_parameter("weight", torch::rand({4, 2}).to(at::kDouble), false);
  halves.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return torch.matmul(torch.flatten(x, 1), self.weight)\n");
  Save(halves);
  ASSERT_OK_AND_ASSIGN(const LoadedModel teacher, LoadModel(Path()));
  EXPECT_EQ(teacher.card.input_type, "float64");
  EXPECT_THAT(LoadStudentModel(Path(), SmallCard()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("float64"), HasSubstr("net.float()"))));
  Save(ModuleOf("def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:\n    return (x, x)\n"));
  EXPECT_THAT(LoadStudentModel(Path(), SmallCard()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("Tuple[Tensor, Tensor]"), HasSubstr("return that alone"))));
}

TEST_F(ModelFile, ProbabilitiesDeclaredAsLogitsAreRefused) {
  const torch::jit::Module module = ModuleOf(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return torch.softmax(torch.flatten(x, 2).sum(1)[:, 0:2], 1)\n");
  Save(module);
  ExpectRefused(HasSubstr("rows sum to 1"));
  ModelCard card = SmallCard();
  card.outputs_probabilities = true;
  Save(module, card);
  ASSERT_OK_AND_ASSIGN(LoadedModel loaded, LoadModel(Path()));
  // The logarithm of probabilities are logits of the same softmax.
  const at::Tensor x = torch::rand({3, 1, 2, 2});
  EXPECT_TRUE(at::allclose(at::softmax(ForwardLogits(loaded.module, card, x), 1),
                           loaded.module.forward({x}).toTensor()));
}

}  // namespace
}  // namespace distillery
