#include "common/run/run_data.h"

#include "common/data/catalog.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const SampleSpec kDigits = SampleSpec::Pictures({1, 8, 8}, 16);

RunSpec MakeSpec() {
  RunSpec spec;
  spec.student.architecture = "mlp:64-10";
  spec.training.local_epochs = 1;
  return spec;
}

auto Refused(const char* what, const char* more = "") {
  return StatusIs(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr(what), HasSubstr(more)));
}

TEST(CheckFitsData, TakesWhatFits) {
  EXPECT_THAT(CheckFitsData(MakeSpec(), kDigits, 10), IsOk());
  RunSpec file = MakeSpec();
  file.student.architecture.clear();
  file.student.digest = std::string(64, 'a');
  EXPECT_THAT(CheckFitsData(file, kDigits, 10), IsOk());
}

TEST(CheckFitsData, NamesTheFieldThatDoesNotFit) {
  RunSpec spec = MakeSpec();
  spec.student.architecture = "mlp:64-20-7";
  EXPECT_THAT(CheckFitsData(spec, kDigits, 10),
              Refused("student.architecture", "has 7 outputs, the data has 10 classes"));
  spec.student.architecture = "mlp:784-10";
  EXPECT_THAT(CheckFitsData(spec, kDigits, 10),
              Refused("student.architecture", "takes 784 inputs, the data has 1 x 8 x 8 = 64"));
  spec.student.architecture = "resnet8";
  EXPECT_THAT(CheckFitsData(spec, SampleSpec::Pictures({1, 4, 4}, 16), 10),
              Refused("student.architecture", "8 x 8"));
  spec = MakeSpec();
  spec.soft_targets = {"top_k", 11};
  EXPECT_THAT(CheckFitsData(spec, kDigits, 10), Refused("soft_targets", "top_k"));
  spec.loss.alpha = 0;
  EXPECT_THAT(CheckFitsData(spec, kDigits, 10), IsOk());
  spec = MakeSpec();
  spec.dataset.exclude_classes = {3, 10};
  EXPECT_THAT(CheckFitsData(spec, kDigits, 10),
              Refused("dataset.exclude_classes names class 10", "classes 0 to 9"));
  spec.student.architecture = "mlp:64-2";
  spec.dataset.exclude_classes = {0, 1};
  EXPECT_THAT(CheckFitsData(spec, kDigits, 2), Refused("leaves no class"));
}

TEST(ResolveClassNames, PutsNumbersInThePlaceOfNames) {
  const std::vector<std::string> names = {"cat", "dog", "3", "frog"};
  RunSpec spec = MakeSpec();
  spec.dataset.exclude_classes = {1};
  spec.dataset.exclude_class_names = {"frog", "3"};
  ASSERT_THAT(ResolveClassNames(names, &spec), IsOk());
  EXPECT_EQ(spec.dataset.exclude_classes, (std::vector<int64_t>{1, 3, 2}));
  EXPECT_TRUE(spec.dataset.exclude_class_names.empty());
  spec.dataset.exclude_class_names = {"dgo"};
  EXPECT_THAT(ResolveClassNames(names, &spec), Refused("dataset.exclude_classes", "dog"));
  spec.dataset.exclude_class_names = {"dog"};
  EXPECT_THAT(ResolveClassNames(names, &spec), Refused("names class dog, number 1, twice"));
}

TEST(CheckFitsData, AStudentMustBeForSuchSamplesAndAnswers) {
  SampleSpec text;
  text.inputs = {{"tokens", ElementType::kInt64, {6}, 0, 256}};
  RunSpec spec = MakeSpec();
  spec.student.architecture = "transformer:1-2-8";
  EXPECT_THAT(CheckFitsData(spec, text, 10), IsOk());
  text.answer.positions = {5};
  EXPECT_THAT(CheckFitsData(spec, text, 10),
              Refused("student.architecture", "at each of 6 positions, the data has answers [5]"));
  spec.student.architecture = "lenet";
  EXPECT_THAT(CheckFitsData(spec, text, 10), Refused("student.architecture", "lenet"));
}

// Before a teacher's data set is here.
TEST(CheckFitsData, ALossMustBeForSuchAnswers) {
  SampleSpec amounts;
  amounts.inputs = {{"features", ElementType::kFloat32, {3}, 0, 0}};
  amounts.answer.kind = AnswerKind::kValues;
  RunSpec spec = MakeSpec();
  spec.student.architecture = "mlp:3-4-2";
  EXPECT_THAT(CheckFitsData(spec, amounts, 2), Refused("loss.name", "mse"));
  spec.loss.name = "mse";
  EXPECT_THAT(CheckFitsData(spec, amounts, 2), IsOk());
}

TEST(CheckFitsData, OfADatasetEachReplicaMustGetSamples) {
  DatasetCatalog catalog("");
  RunSpec spec = MakeSpec();
  spec.training.replicas = 11;
  ASSERT_OK_AND_ASSIGN(const auto dataset, catalog.Open(spec.TrainingData()));
  EXPECT_THAT(CheckFitsData(spec, *dataset), IsOk());
  spec.training.replicas = 12;
  EXPECT_THAT(CheckFitsData(spec, *dataset), Refused("training.replicas is 12", "11 shards"));
}

TEST(CheckTeacherFitsData, SaysBothSizes) {
  EXPECT_THAT(CheckTeacherFitsData("teacher.pt", {kDigits, 10}, "digits", {kDigits, 10}), IsOk());
  EXPECT_THAT(CheckTeacherFitsData("teacher.pt", {SampleSpec::Pictures({1, 28, 28}, 255), 10},
                                   "digits", {kDigits, 10}),
              Refused("teacher.pt is for images of 1 x 28 x 28 in 10 classes",
                      "data set digits has images of 1 x 8 x 8 in 10 classes"));
}

TEST(CheckFitsData, AStudentMayTakeSmallerPicturesThanTheDataHas) {
  RunSpec spec = MakeSpec();
  spec.student.picture = {4, 3};
  ASSERT_OK_AND_ASSIGN(const SampleSpec taken, StudentSamples(spec, kDigits));
  EXPECT_EQ(taken.picture_shape(), (ImageShape{1, 4, 3}));
  EXPECT_THAT(CheckFitsData(spec, kDigits, 10),
              Refused("student.architecture", "takes 64 inputs, the data has 1 x 4 x 3 = 12"));
  spec.student.architecture = "mlp:12-10";
  EXPECT_THAT(CheckFitsData(spec, kDigits, 10), IsOk());
  spec.student.picture = {9, 8};
  EXPECT_THAT(
      CheckFitsData(spec, kDigits, 10),
      Refused("student.picture: pictures of 8 x 8 are not grown to 9 x 8", "\"height\": 9"));
  SampleSpec row;
  row.inputs = {{"features", ElementType::kFloat32, {3}, 0, 0}};
  EXPECT_THAT(CheckFitsData(spec, row, 10), Refused("student.picture: the data has no picture"));
}

TEST(CheckTeacherFitsData, ATeacherMayTakeSmallerPicturesButNotLargerOnes) {
  const auto of = [](const ImageShape& shape) {
    return SamplesAndAnswers{SampleSpec::Pictures(shape, 255), 10};
  };
  EXPECT_THAT(CheckTeacherFitsData("teacher.pt", of({1, 4, 8}), "digits", {kDigits, 10}), IsOk());
  EXPECT_THAT(CheckTeacherFitsData("teacher.pt", of({1, 16, 16}), "digits", {kDigits, 10}),
              Refused("8 x 8 are not grown to 16 x 16", "\"width\": 16"));
  EXPECT_THAT(CheckTeacherFitsData("teacher.pt", of({3, 4, 4}), "digits", {kDigits, 10}),
              Refused("images of 3 x 4 x 4", "1 x 8 x 8"));
  // Pixels that have classes stay as many as the data has.
  SampleSpec data = SampleSpec::Pictures({1, 8, 8}, 255);
  data.answer.positions = {8, 8};
  SampleSpec taken = SampleSpec::Pictures({1, 4, 4}, 255);
  taken.answer.positions = {4, 4};
  EXPECT_THAT(CheckTeacherFitsData("teacher.pt", {taken, 3}, "masks", {data, 3}),
              Refused("classes [4, 4]", "classes [8, 8]"));
  taken.answer.positions = {8, 8};
  EXPECT_THAT(CheckTeacherFitsData("teacher.pt", {taken, 3}, "masks", {data, 3}), IsOk());
}

TEST(CheckTeacherFitsData, SaysBothSamples) {
  SampleSpec text;
  text.inputs = {{"tokens", ElementType::kInt64, {6}, 0, 256}};
  EXPECT_THAT(CheckTeacherFitsData("teacher.pt", {text, 3}, "lines", {text, 3}), IsOk());
  EXPECT_THAT(CheckTeacherFitsData("teacher.pt", {text, 3}, "lines", {text, 2}),
              Refused("(3 classes)", "(2 classes)"));
  EXPECT_THAT(CheckTeacherFitsData("teacher.pt", {kDigits, 3}, "lines", {text, 3}),
              Refused("teacher.pt is for image uint8 [1, 8, 8]",
                      "data set lines is tokens int64 [6] below 256 -> classes"));
}

}  // namespace
}  // namespace distillery
