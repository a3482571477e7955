#include "common/model/architecture_plan.h"

#include "common/model/layer_tensors.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ArchitecturePlan, HelpListsEachFamilyOnce) {
  EXPECT_EQ(ArchitectureHelp(),
            "mlp:IN-HIDDEN-...-OUT, lenet, resnet8 to resnet110, wrn-D-W, "
            "transformer:LAYERS-HEADS-WIDTH, gru:STATES-LAYERS, unet:CHANNELS-LEVELS, "
            "mobilenetv2:PERCENT, vit:LAYERS-HEADS-WIDTH-PATCH, dscnn:CHANNELS-BLOCKS or "
            "conv1d:CHANNELS");
}

TEST(ArchitecturePlan, AnUnknownNameGetsTheNearestOfAllFamilies) {
  for (const auto& [name, nearest] :
       {std::pair("lenet5", "lenet"), std::pair("wrn-D-V", "wrn-10-1"),
        std::pair("rsenet20", "resnet20")}) {
    EXPECT_THAT(CheckArchitecture(name), StatusIs(absl::StatusCode::kInvalidArgument,
                                                  HasSubstr(std::string(nearest) + "\"?")));
  }
  EXPECT_THAT(CheckArchitecture("mlp:64"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("input and output size")));
  EXPECT_THAT(CheckArchitecture("mlp:64-10,dropout=0.5"), IsOk());
}

TEST(ArchitecturePlan, ANameThatFitsSomeDataIsGood) {
  for (const char* const name :
       {"lenet", "resnet8", "wrn-10-1", "transformer:2-4-128", "transformer:2-4-128,causal",
        "transformer:1-1-8,dropout=0.1,input_dropout=0.1", "gru:64", "gru:64-2,dropout=0.5",
        "gru:64,channels_last", "unet:16", "unet:16-2,dropout=0.2", "mobilenetv2",
        "mobilenetv2:35,dropout=0.2", "vit:2-4-64-4", "vit:1-1-8-7,dropout=0.1", "dscnn:64",
        "dscnn:64-6,dropout=0.1", "conv1d:32,input_dropout=0.1"}) {
    EXPECT_THAT(CheckArchitecture(name), IsOk()) << name;
  }
}

TEST(ArchitecturePlan, SizesThatCannotBeAreRefusedWithAnExample) {
  for (const auto& [name, message] :
       {std::pair("transformer:", "LAYERS must be 1 to 64, as in transformer:2-4-128"),
        std::pair("transformer:2-4", "WIDTH must be 1 to 16384"),
        std::pair("transformer:2-0-128", "HEADS must be 1 to 128"),
        std::pair("transformer:02-4-128", "LAYERS must be"),
        std::pair("transformer:2-4-12x", "WIDTH must be"),
        std::pair("transformer:2-4-128-1", "has more than 3 numbers, write it as transformer:2"),
        std::pair("transformer:2-3-8", "WIDTH must be a multiple of HEADS, got 8 and 3"),
        std::pair("gru:", "STATES must be 1 to 16384, as in gru:64 or gru:64-2"),
        std::pair("gru:64-65", "LAYERS must be 1 to 64"),
        std::pair("gru:64-", "LAYERS must be 1 to 64"),
        std::pair("unet:0", "CHANNELS must be 1 to 1024"),
        std::pair("unet:16-4", "LEVELS must be 2 to 3, as in unet:16 or unet:16-2"),
        std::pair("unet:16-2-1", "has more than 2 numbers"),
        std::pair("mobilenetv2:5", "PERCENT must be 10 to 400, as in mobilenetv2:50"),
        std::pair("mobilenetv2:", "PERCENT must be"),
        std::pair("mobilenetv2x", "unknown architecture \"mobilenetv2x\""),
        std::pair("mobilenetv22:50", "unknown architecture"),
        std::pair("vit:2-4-64", "PATCH must be 1 to 256, as in vit:6-4-128-4"),
        std::pair("vit:2-4-64-512", "PATCH must be 1 to 256"),
        std::pair("vit:2-3-64-4", "WIDTH must be a multiple of HEADS, got 64 and 3"),
        std::pair("dscnn:", "CHANNELS must be 1 to 1024, as in dscnn:64 or dscnn:64-4"),
        std::pair("dscnn:64-33", "BLOCKS must be 1 to 32"),
        std::pair("conv1d:0", "CHANNELS must be 1 to 1024, as in conv1d:32")}) {
    EXPECT_THAT(CheckArchitecture(name),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))
        << name;
  }
}

TEST(ArchitecturePlan, OptionsOfAnotherFamilyAndValuesOfFlagsAreRefused) {
  for (const auto& [name, message] :
       {std::pair("mlp:64-10,causal",
                  "causal is an option of transformer:LAYERS-HEADS-WIDTH, not of mlp:64-10"),
        std::pair("gru:8,causal", "not of gru:8"),
        std::pair("transformer:1-1-8,channels_last", "is an option of gru:STATES-LAYERS"),
        std::pair("transformer:1-1-8,causal=0", "causal takes no value"),
        std::pair("transformer:1-1-8,casual", "did you mean \"causal\"?")}) {
    EXPECT_THAT(CheckArchitecture(name),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))
        << name;
  }
}

InputSpec Tokens(const std::string& name, int64_t length, int64_t vocabulary) {
  return {name, ElementType::kInt64, {length}, 0, vocabulary};
}

InputSpec Numbers(const std::string& name, const std::vector<int64_t>& shape) {
  return {name, ElementType::kFloat32, shape, 0, 0};
}

SampleSpec Samples(const std::vector<InputSpec>& inputs, const std::vector<int64_t>& positions = {},
                   AnswerKind kind = AnswerKind::kClasses) {
  return {inputs, {kind, positions}};
}

TEST(ArchitecturePlan, DataThatDoNotFitAreRefusedWithWhatTheyHave) {
  const InputSpec tokens = Tokens("tokens", 6, 11);
  const InputSpec picture = SampleSpec::Pictures({1, 30, 30}, 255).inputs[0];
  struct Case {
    std::string architecture;
    SampleSpec spec;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"lenet", Samples({tokens}),
       "takes pictures or float numbers [channels, height, width], the "
       "data has tokens int64 [6] below 11"},
      {"resnet8", Samples({picture}, {30, 30}), "gives one answer for a sample"},
      {"lenet", Samples({picture, picture}), "takes pictures or float numbers"},
      {"mlp:6-3", Samples({tokens}), "takes pictures and float numbers, the data has tokens int64"},
      {"mlp:6-3", Samples({Numbers("a", {3}), Numbers("b", {})}),
       "takes 6 inputs, the data has 3 + 1 = 4"},
      {"mlp:6-3", Samples({Numbers("a", {6})}, {6}), "gives one answer for a sample"},
      {"mlp:6-2", Samples({Numbers("a", {6})}, {}, AnswerKind::kMultilabel),
       "has 2 outputs, the data has 3 labels"},
      {"mlp:6-2", Samples({Numbers("a", {6})}, {}, AnswerKind::kValues),
       "has 2 outputs, the data has 3 values"},
      {"transformer:1-1-8", Samples({picture}), "takes tokens [length] with a vocabulary"},
      {"transformer:1-1-8", Samples({Tokens("tokens", 6, 0)}), "takes tokens [length]"},
      {"transformer:1-1-8", Samples({Numbers("series", {6, 2})}), "takes tokens [length]"},
      {"transformer:1-1-8", Samples({tokens, Tokens("more", 6, 11)}), "takes tokens [length]"},
      {"transformer:1-1-8", Samples({tokens, Numbers("mask", {5})}), "needs a mask [6]"},
      {"transformer:1-1-8", Samples({tokens}, {5}), "one at each of 6 positions"},
      {"transformer:1-1-8,causal", Samples({tokens}), "leave out ,causal"},
      {"gru:8", Samples({picture}), "float numbers [samples] or [channels, length]"},
      {"gru:8,channels_last", Samples({tokens}), "leave out ,channels_last"},
      {"gru:8,channels_last", Samples({Numbers("series", {6, 2})}, {2}),
       "one at each of 6 positions"},
      {"unet:4", Samples({picture}), "gives an answer at each pixel, [30, 30]"},
      {"unet:4", Samples({picture}, {30, 30}), "multiples of 4, since it halves them 2 times"},
      {"unet:4-2", Samples({Numbers("picture", {1, 31, 30})}, {31, 30}), "1 x 31 x 30"},
      {"mobilenetv2", Samples({Numbers("picture", {3, 8, 7})}), "at least 8 x 8, the data has 3 x"},
      {"mobilenetv2", Samples({picture}, {30, 30}), "gives one answer for a sample"},
      {"mobilenetv2", Samples({tokens}), "takes pictures or float numbers"},
      {"vit:1-1-8-4", Samples({picture}), "multiples of PATCH, 4, the data has"},
      {"vit:1-1-8-5", Samples({tokens}), "takes pictures or float numbers"},
      {"dscnn:4", Samples({Numbers("log_mel", {1, 3, 10})}), "at least 4 bands x 10 frames"},
      {"dscnn:4", Samples({Numbers("log_mel", {4, 10})}), "takes pictures or float numbers"},
      {"conv1d:4", Samples({Numbers("audio", {1, 1099})}), "at least 1100 samples"},
      {"conv1d:4", Samples({Numbers("audio", {1, 1, 2000})}), "[samples] or [channels, samples]"},
      {"conv1d:4", Samples({tokens}), "[samples] or [channels, samples]"},
      {"conv1d:4", Samples({Numbers("audio", {2000}), Numbers("mask", {2000})}),
       "[samples] or [channels, samples]"},
      {"conv1d:4", Samples({Numbers("audio", {2000})}, {2000}), "gives one answer for a sample"},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(PlanArchitecture(one.architecture, one.spec, 3),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(one.message), ::testing::Not(HasSubstr("\n")))))
        << one.architecture << " on " << one.spec.ToString();
  }
}

TEST(ArchitecturePlan, WeightsAreCountedInAllLayersThatMultiply) {
  const auto count = [](const std::string& architecture, const SampleSpec& spec) {
    const std::vector<Layer> layers = *PlanArchitecture(architecture, spec, 3);
    int64_t sum = 0;
    for (const Layer& layer : layers) sum += WeightCount(layer);
    return sum;
  };
  EXPECT_EQ(count("mlp:6-4-3", Samples({Numbers("a", {6})})), 6 * 4 + 4 * 3);
  EXPECT_EQ(count("gru:5", Samples({Numbers("a", {2, 6})})), 3 * 5 * 2 + 3 * 5 * 5 + 5 * 3);
  EXPECT_EQ(count("transformer:1-2-8", Samples({Tokens("tokens", 6, 11)})),
            11 * 8 + 6 * 8 + 4 * 8 * 8 + 2 * 8 * 32 + 8 * 3);
}

TEST(ArchitecturePlan, Mobilenetv2HasTheParametersOfTorchvisionsNetwork) {
  const std::vector<Layer> layers =
      *PlanArchitecture("mobilenetv2", SampleSpec::Pictures({3, 32, 32}, 255), 10);
  int64_t sum = 0;
  for (const Layer& layer : layers) {
    for (const LayerTensor& tensor : TensorsOf(layer)) {
      int64_t elements = tensor.buffer ? 0 : 1;
      for (const int64_t size : tensor.shape) elements *= size;
      sum += elements;
    }
  }
  // 3,504,872 for 1,000 classes (torchvision's table of models), each of which has 1,281.
  EXPECT_EQ(sum, 3'504'872 - 990 * 1'281);
}

}  // namespace
}  // namespace distillery
