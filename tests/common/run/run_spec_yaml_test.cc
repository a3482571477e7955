// Reading a RunSpec from YAML: every message names file, line and what to do.
#include "common/base/files.h"
#include "common/run/run_spec.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kSmallest[] =
    "student:\n"
    "  architecture: mlp:64-10\n"
    "training:\n"
    "  local_epochs: 1\n";

// The smallest spec followed by `more`, whose first line is line 5.
absl::StatusOr<RunSpec> Parse(const std::string& more) {
  return ParseRunSpec(kSmallest + more, "run.yaml");
}
auto Refused(const std::string& start, const std::string& part) {
  return StatusIs(absl::StatusCode::kInvalidArgument, AllOf(StartsWith(start), HasSubstr(part)));
}

TEST(ParseRunSpec, FieldsThatAreNotGivenKeepTheirDefaults) {
  ASSERT_OK_AND_ASSIGN(const RunSpec spec, Parse("loss: {temperature: 2}\nseed: 7\n"));
  EXPECT_EQ(spec.student.architecture, "mlp:64-10");
  EXPECT_EQ(spec.training.local_epochs, 1);
  EXPECT_EQ(spec.loss.temperature, 2);
  EXPECT_EQ(spec.seed, 7);
  EXPECT_EQ(spec.loss.alpha, 0.9);
  EXPECT_EQ(spec.dataset.name, "digits");
}

TEST(ParseRunSpec, EmptyGroupIsAllDefaults) {
  ASSERT_OK_AND_ASSIGN(const RunSpec spec, Parse("loss:\n"));
  EXPECT_EQ(spec.loss.temperature, 4);
}

TEST(ParseRunSpec, AugmentationNeedsNoQuotes) {
  ASSERT_OK_AND_ASSIGN(const RunSpec lines, Parse("dataset:\n  augmentation: crop:4+flip\n"));
  EXPECT_EQ(lines.dataset.augmentation, "crop:4+flip");
  ASSERT_OK_AND_ASSIGN(const RunSpec flow, Parse("dataset: {augmentation: crop:4+flip}\n"));
  EXPECT_EQ(flow.dataset.augmentation, "crop:4+flip");
}

TEST(ParseRunSpec, UnknownKeyIsNamedWithTheNearest) {
  EXPECT_THAT(Parse("loss:\n  temprature: 4\n"),
              Refused("run.yaml:6: ", "did you mean \"loss.temperature\"?"));
  EXPECT_THAT(Parse("nmae: x\n"), Refused("run.yaml:5: ", "did you mean \"name\"?"));
  EXPECT_THAT(Parse("colour: red\n"), Refused("run.yaml:5: ", "known: name, seed, dataset"));
}

TEST(ParseRunSpec, KeyInTheWrongGroupIsUnknown) {
  EXPECT_THAT(Parse("rounds: 3\n"), Refused("run.yaml:5: ", "\"rounds\""));
}

TEST(ParseRunSpec, DoubledKeysAreRefused) {
  EXPECT_THAT(Parse("seed: 1\nname: a\nseed: 2\n"),
              Refused("run.yaml:7: ", "\"seed\" is there twice"));
  EXPECT_THAT(Parse("loss:\n  alpha: 0.1\n  alpha: 0.2\n"),
              Refused("run.yaml:7: ", "\"loss.alpha\" is there twice"));
  EXPECT_THAT(Parse("loss: {alpha: 0.1}\nloss: {temperature: 1}\n"),
              Refused("run.yaml:6: ", "\"loss\" is there twice"));
}

TEST(ParseRunSpec, WrongTypesSayWhatIsWanted) {
  EXPECT_THAT(Parse("seed: many\n"),
              Refused("run.yaml:5: ", "seed must be a whole number, got \"many\""));
  EXPECT_THAT(Parse("seed: 1.5\n"), Refused("run.yaml:5: ", "whole number"));
  EXPECT_THAT(Parse("seed: 99999999999999999999\n"), Refused("run.yaml:5: ", "whole number"));
  EXPECT_THAT(Parse("loss:\n  alpha: high\n"),
              Refused("run.yaml:6: ", "loss.alpha must be a number, got \"high\""));
  EXPECT_THAT(Parse("exact: perhaps\n"), Refused("run.yaml:5: ", "true or false"));
  EXPECT_THAT(Parse("name: [a]\n"), Refused("run.yaml:5: ", "name must be text"));
  EXPECT_THAT(Parse("loss: 4\n"), Refused("run.yaml:5: ", "loss must hold keys of its own"));
  EXPECT_THAT(Parse("loss: [1]\n"), Refused("run.yaml:5: ", "loss must hold keys of its own"));
}

TEST(ParseRunSpec, ValueOutOfRangeIsNamedByItsLine) {
  EXPECT_THAT(Parse("loss:\n  alpha: 0.5\n  temperature: -1\n"),
              Refused("run.yaml:7: ", "loss.temperature must be > 0, got -1"));
  EXPECT_THAT(Parse("loss:\n  temperature: .nan\n"), Refused("run.yaml:6: ", "loss.temperature"));
  EXPECT_THAT(Parse("dataset: {train_split: trian}\n"),
              Refused("run.yaml:5: ", "did you mean \"train\"?"));
}

TEST(ParseRunSpec, MissingFieldIsNamedByItsGroupsLine) {
  EXPECT_THAT(ParseRunSpec("seed: 1\nstudent:\n  architecture: ''\n", "f"),
              Refused("f:3: ", "student.architecture is missing"));
  EXPECT_THAT(
      ParseRunSpec("seed: 1\ntraining:\n  rounds: 3\nstudent: {architecture: lenet}\n", "f"),
      Refused("f:", "exactly one of local_epochs and local_steps"));
}

TEST(ParseRunSpec, WhatIsNoYamlIsNamedByItsLine) {
  EXPECT_THAT(Parse("loss: {alpha: 1\n"), Refused("run.yaml:", ""));
  EXPECT_THAT(Parse("\tseed: 1\n"), Refused("run.yaml:5: ", ""));
  EXPECT_THAT(ParseRunSpec("", "f"), Refused("f:1: ", "must hold the keys of a run"));
  EXPECT_THAT(ParseRunSpec("- a\n", "f"), Refused("f:1: ", "must hold the keys of a run"));
  EXPECT_THAT(ParseRunSpec("? [a]\n: b\n", "f"), Refused("f:1: ", "keys must be plain words"));
}

TEST(ReadRunSpec, NamesTheFile) {
  TemporaryFolder folder;
  EXPECT_THAT(ReadRunSpec(folder.File("none.yaml")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.yaml")));
  ASSERT_THAT(WriteFileDurably(folder.File("run.yaml"), kSmallest), IsOk());
  EXPECT_THAT(ReadRunSpec(folder.File("run.yaml")), IsOk());
}

}  // namespace
}  // namespace distillery
