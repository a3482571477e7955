#include "common/run/run_spec.h"

#include <limits>
#include <set>

#include "absl/types/span.h"
#include "tests/common/run/full_spec.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

RunSpec ValidSpec() {
  RunSpec spec;
  spec.student.architecture = "mlp:64-10";
  spec.training.local_epochs = 1;
  return spec;
}

TEST(ValidateRunSpec, DefaultsNeedAnArchitectureAndAnAmountOfTraining) {
  RunSpec spec;
  EXPECT_EQ(FindFieldError(spec).path, "student.architecture");
  spec.student.architecture = "mlp:64-10";
  EXPECT_EQ(FindFieldError(spec).path, "training");
  spec.training.local_steps = 5;
  EXPECT_THAT(ValidateRunSpec(spec), IsOk());
  spec.training.local_epochs = 1;
  EXPECT_EQ(FindFieldError(spec).path, "training.local_steps");
}

TEST(ValidateRunSpec, MessageSaysFieldRuleAndValue) {
  RunSpec spec = ValidSpec();
  spec.loss.temperature = -1;
  EXPECT_THAT(ValidateRunSpec(spec),
              StatusIs(kInvalid, std::string("loss.temperature must be > 0, got -1")));
}

TEST(ValidateRunSpec, MessageNamesThePartOfTheAugmentation) {
  RunSpec spec = ValidSpec();
  spec.dataset.augmentation = "crop:4+flop";
  EXPECT_THAT(ValidateRunSpec(spec),
              StatusIs(kInvalid, std::string("dataset.augmentation is not valid: unknown "
                                             "augmentation \"flop\"; did you mean \"flip\"?")));
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A valid spec with `change` is refused for the field `path`.
struct FieldCase {
  const char* path;
  void (*change)(RunSpec& s);
};

constexpr FieldCase kDataCases[] = {
    {"name", [](RunSpec& s) { s.name = ""; }},
    {"name", [](RunSpec& s) { s.name = "a/b"; }},
    {"name", [](RunSpec& s) { s.name = std::string(65, 'a'); }},
    {"dataset.name", [](RunSpec& s) { s.dataset.name = "../x"; }},
    {"dataset.train_split", [](RunSpec& s) { s.dataset.train_split = "trian"; }},
    {"dataset.evaluation_split", [](RunSpec& s) { s.dataset.evaluation_split = ""; }},
    {"dataset.shard_size", [](RunSpec& s) { s.dataset.shard_size = 0; }},
    {"dataset.shard_size", [](RunSpec& s) { s.dataset.shard_size = 65537; }},
    {"dataset.augmentation", [](RunSpec& s) { s.dataset.augmentation = "jitter:9"; }},
    {"dataset.augmentation", [](RunSpec& s) { s.dataset.augmentation = "flip+crop:33"; }},
    {"dataset.views", [](RunSpec& s) { s.dataset.views = 0; }},
    {"teacher.digest", [](RunSpec& s) { s.teacher.digest = std::string(63, 'a'); }},
    {"teacher.digest", [](RunSpec& s) { s.teacher.digest = std::string(64, 'A'); }},
    {"student.architecture", [](RunSpec& s) { s.student.model = "student.pt"; }},
    {"student.digest",
     [](RunSpec& s) {
       s.student.architecture = "";
       s.student.digest = "abc";
     }},
    {"student.initial_weights_sha256",
     [](RunSpec& s) { s.student.initial_weights_sha256 = "abc"; }},
    {"dataset.labels", [](RunSpec& s) { s.dataset.labels = "some"; }},
    {"dataset.labels", [](RunSpec& s) { s.dataset.labels = "1.5"; }},
    {"dataset.labels", [](RunSpec& s) { s.dataset.labels = "nan"; }},
    {"dataset.labels",
     [](RunSpec& s) {
       s.dataset.labels = "none";
       s.loss.alpha = 0;
     }},
    {"dataset.labels",
     [](RunSpec& s) {
       s.dataset.labels = "0.5";
       s.loss.name = "dkd";
       s.loss.dkd_alpha = 1;
     }},
    {"student.picture", [](RunSpec& s) { s.student.picture = {4}; }},
    {"student.picture",
     [](RunSpec& s) {
       s.student.picture = {4, 0};
     }},
    {"student.picture",
     [](RunSpec& s) {
       s.student.picture = {4, 65536};
     }},
    {"student.picture",
     [](RunSpec& s) {
       s.student.picture = {4, 4, 4};
     }},
    {"dataset.exclude_classes", [](RunSpec& s) { s.dataset.exclude_classes = {-1}; }},
    {"dataset.exclude_classes",
     [](RunSpec& s) {
       s.dataset.exclude_classes = {3, 1, 3};
     }},
    {"dataset.sample_fraction", [](RunSpec& s) { s.dataset.sample_fraction = 1.1; }},
    {"dataset.sample_fraction", [](RunSpec& s) { s.dataset.sample_fraction = kNan; }},
    {"dataset.label_noise", [](RunSpec& s) { s.dataset.label_noise = -0.1; }},
};

constexpr FieldCase kLossCases[] = {
    {"loss.alpha", [](RunSpec& s) { s.loss.alpha = -0.1; }},
    {"loss.alpha", [](RunSpec& s) { s.loss.alpha = 1.1; }},
    {"loss.alpha", [](RunSpec& s) { s.loss.alpha = kNan; }},
    {"loss.temperature", [](RunSpec& s) { s.loss.temperature = 0; }},
    {"loss.temperature", [](RunSpec& s) { s.loss.temperature = kInfinity; }},
    {"loss.temperature", [](RunSpec& s) { s.loss.temperature = kNan; }},
    {"loss.name", [](RunSpec& s) { s.loss.name = "kld"; }},
    {"loss.name",
     [](RunSpec& s) {
       s.loss.name = "mse";  // of all logits
       s.soft_targets = {"top_k", 3};
     }},
    {"loss.label_smoothing", [](RunSpec& s) { s.loss.label_smoothing = 1; }},
    {"loss.label_smoothing", [](RunSpec& s) { s.loss.label_smoothing = kNan; }},
    {"loss.dkd_alpha", [](RunSpec& s) { s.loss.name = "dkd"; }},  // both weights are 0
    {"loss.dkd_alpha", [](RunSpec& s) { s.loss.dkd_beta = 8; }},  // kd has none
    {"loss.dkd_beta", [](RunSpec& s) { s.loss.dkd_beta = kInfinity; }},
    {"soft_targets.encoding", [](RunSpec& s) { s.soft_targets.encoding = "bfloat16"; }},
    {"soft_targets.top_k", [](RunSpec& s) { s.soft_targets.top_k = 1; }},
    {"soft_targets.top_k",
     [](RunSpec& s) {
       s.soft_targets = {"int8", -1};
     }},
    {"soft_targets.top_k",
     [](RunSpec& s) {
       s.soft_targets = {"top_k", 0};
     }},
    {"soft_targets.top_k",
     [](RunSpec& s) {
       s.soft_targets = {"top_k", 1'000'001};
     }},
    {"loss.alpha_schedule", [](RunSpec& s) { s.loss.alpha_schedule = "linea"; }},
    {"loss.alpha_end", [](RunSpec& s) { s.loss.alpha_end = 0.5; }},  // without a schedule
    {"loss.temperature_end", [](RunSpec& s) { s.loss.temperature_end = 1; }},
    {"loss.temperature_end", [](RunSpec& s) { s.loss.temperature_schedule = "linear"; }},
    {"loss.temperature_schedule",
     [](RunSpec& s) {
       s.loss.temperature_schedule = "linear";
       s.loss.temperature_end = 1;
       s.soft_targets = {"top_k", 3};
     }},
    {"loss.warm_up", [](RunSpec& s) { s.loss.warm_up = 0.1; }},
};

constexpr FieldCase kTrainingCases[] = {
    {"training.rounds", [](RunSpec& s) { s.training.rounds = 0; }},
    {"training.rounds", [](RunSpec& s) { s.training.rounds = 1'000'001; }},
    {"training.replicas", [](RunSpec& s) { s.training.replicas = 4097; }},
    {"training.local_epochs", [](RunSpec& s) { s.training.local_epochs = -1; }},
    {"training.batch_size", [](RunSpec& s) { s.training.batch_size = 0; }},
    {"training.learning_rate", [](RunSpec& s) { s.training.learning_rate = 0; }},
    {"training.schedule", [](RunSpec& s) { s.training.schedule = "cosin"; }},
    {"training.optimizer", [](RunSpec& s) { s.training.optimizer = "adam"; }},
    {"training.warm_up", [](RunSpec& s) { s.training.warm_up = 1; }},
    {"training.warm_up", [](RunSpec& s) { s.training.warm_up = kNan; }},
    {"training.nesterov",
     [](RunSpec& s) {
       s.training.nesterov = true;
       s.training.optimizer = "adamw";
     }},
    {"training.nesterov",
     [](RunSpec& s) {
       s.training.nesterov = true;
       s.training.momentum = 0;
     }},
    {"training.max_gradient_norm", [](RunSpec& s) { s.training.max_gradient_norm = -1; }},
    {"training.max_weight_norm", [](RunSpec& s) { s.training.max_weight_norm = kNan; }},
    {"training.optimizer_state", [](RunSpec& s) { s.training.optimizer_state = "keep"; }},
    {"training.optimizer_state",
     [](RunSpec& s) {
       s.training.optimizer_state = "average";
       s.training.momentum = 0;
     }},
    {"training.broadcast_encoding", [](RunSpec& s) { s.training.broadcast_encoding = "int8"; }},
    {"training.delta_encoding", [](RunSpec& s) { s.training.delta_encoding = "int4"; }},
    {"training.precision", [](RunSpec& s) { s.training.precision = "float16"; }},
    {"training.momentum", [](RunSpec& s) { s.training.momentum = 1; }},
    {"training.weight_decay", [](RunSpec& s) { s.training.weight_decay = -1e-4; }},
};

constexpr FieldCase kRoundCases[] = {
    {"averaging.method", [](RunSpec& s) { s.averaging.method = "mode"; }},
    {"averaging.trim", [](RunSpec& s) { s.averaging.trim = 0.1; }},  // mean takes none
    {"averaging.trim", [](RunSpec& s) { s.averaging.method = "trimmed_mean"; }},
    {"averaging.trim",
     [](RunSpec& s) {
       s.averaging.method = "trimmed_mean";
       s.averaging.trim = 0.5;
     }},
    {"averaging.clip_norm", [](RunSpec& s) { s.averaging.clip_norm = -1; }},
    {"averaging.max_norm_ratio", [](RunSpec& s) { s.averaging.max_norm_ratio = 1; }},
    {"averaging.max_norm_ratio", [](RunSpec& s) { s.averaging.max_norm_ratio = kNan; }},
    {"outer.optimizer", [](RunSpec& s) { s.outer.optimizer = "adamw"; }},
    {"outer.beta2", [](RunSpec& s) { s.outer.optimizer = "adam"; }},
    {"outer.beta2", [](RunSpec& s) { s.outer.epsilon = 0.001; }},  // sgd takes none
    {"outer.learning_rate", [](RunSpec& s) { s.outer.learning_rate = kNan; }},
    {"outer.momentum", [](RunSpec& s) { s.outer.momentum = 0.9; }},  // sgd takes none
    {"evaluation.every_rounds", [](RunSpec& s) { s.evaluation.every_rounds = -1; }},
    {"guard.metric", [](RunSpec& s) { s.guard.metric = "loss"; }},
    {"guard.metric",
     [](RunSpec& s) {
       s.guard.metric = "accuracy";
       s.evaluation.every_rounds = 0;
     }},
    {"guard.split", [](RunSpec& s) { s.guard.split = "validation"; }},  // without a guard
    {"guard.split", [](RunSpec& s) { s.guard = {"accuracy", "held-out", 0, 0, 0, ""}; }},
    {"guard.patience", [](RunSpec& s) { s.guard = {"accuracy", "", -1, 0, 0, ""}; }},
    {"guard.min_improvement", [](RunSpec& s) { s.guard = {"accuracy", "", 1, kNan, 0, ""}; }},
    {"guard.max_loss_ratio", [](RunSpec& s) { s.guard = {"accuracy", "", 0, 0, 1, ""}; }},
    {"guard.on_explosion", [](RunSpec& s) { s.guard = {"accuracy", "", 0, 0, 2, "pause"}; }},
    {"sync.mode", [](RunSpec& s) { s.sync.mode = "async"; }},
    {"sync.quorum",
     [](RunSpec& s) {
       s.sync = {"quorum", 0, 0, ""};
     }},
    {"sync.quorum",
     [](RunSpec& s) {
       s.sync = {"quorum", s.training.replicas + 1, 0, ""};
     }},
    {"sync.quorum",
     [](RunSpec& s) {
       s.sync = {"all", 1, 0, ""};
     }},
    {"sync.deadline_seconds",
     [](RunSpec& s) {
       s.sync = {"quorum", 1, kNan, ""};
     }},
    {"sync.late_deltas",
     [](RunSpec& s) {
       s.sync = {"quorum", 1, 0, "keep"};
     }},
    {"scheduling.priority", [](RunSpec& s) { s.scheduling.priority = 1001; }},
    {"scheduling.priority", [](RunSpec& s) { s.scheduling.priority = -1; }},
    {"scheduling.depends_on", [](RunSpec& s) { s.scheduling.depends_on = {"a/b"}; }},
    {"scheduling.depends_on", [](RunSpec& s) { s.scheduling.depends_on.assign(101, "a"); }},
    {"scheduling.backup_after", [](RunSpec& s) { s.scheduling.backup_after = 1; }},
    {"scheduling.backup_after", [](RunSpec& s) { s.scheduling.backup_after = kInfinity; }},
    {"scheduling.sweep", [](RunSpec& s) { s.scheduling.sweep = "a b"; }},
    {"numerics", [](RunSpec& s) { s.numerics = "exact"; }},
    {"compute_threads", [](RunSpec& s) { s.compute_threads = 0; }},
};

TEST(ValidateRunSpec, EachFieldIsCheckedAtItsBounds) {
  for (const absl::Span<const FieldCase> cases :
       {absl::MakeSpan(kDataCases), absl::MakeSpan(kLossCases), absl::MakeSpan(kTrainingCases),
        absl::MakeSpan(kRoundCases)}) {
    for (const FieldCase& c : cases) {
      RunSpec spec = ValidSpec();
      c.change(spec);
      EXPECT_EQ(FindFieldError(spec).path, c.path);
      EXPECT_THAT(ValidateRunSpec(spec), StatusIs(kInvalid, StartsWith(c.path)));
    }
  }
}

TEST(ValidateRunSpec, TheBoundsThemselvesAreTaken) {
  RunSpec spec = ValidSpec();
  spec.name = std::string(64, 'a');
  spec.loss.alpha = 1;
  spec.dataset.shard_size = 65536;
  spec.training.rounds = 1'000'000;
  spec.training.replicas = 4096;
  spec.training.momentum = 0;
  spec.teacher.digest = std::string(64, 'a');
  EXPECT_THAT(ValidateRunSpec(spec), IsOk());
}

TEST(ValidateRunSpec, TheNearestEncodingIsNamed) {
  RunSpec spec = ValidSpec();
  spec.soft_targets.encoding = "topk";
  EXPECT_THAT(ValidateRunSpec(spec),
              StatusIs(kInvalid, std::string("soft_targets.encoding has an unknown value \"topk\"; "
                                             "did you mean \"top_k\"?")));
}

TEST(RunSpec, TheSoftTargetFormatFollowsFromItsFields) {
  RunSpec spec = ValidSpec();
  spec.loss.temperature = 3;
  EXPECT_EQ(spec.soft_target_format().temperature, 3);
  EXPECT_EQ(spec.soft_target_format().representation, Representation::kLogits);
  // Clients that know no encodings leave the field empty.
  for (const char* const encoding : {"", "float32", "float16", "int8"}) {
    spec.soft_targets.encoding = encoding;
    EXPECT_THAT(ValidateRunSpec(spec), IsOk());
    EXPECT_EQ(EncodingName(spec.soft_target_format().encoding),
              *encoding == '\0' ? "float32" : encoding);
    EXPECT_EQ(spec.soft_target_format().top_k, 0);
  }
  spec.soft_targets = {"top_k", 16};
  EXPECT_THAT(ValidateRunSpec(spec), IsOk());
  EXPECT_EQ(spec.soft_target_format().encoding, Encoding::kTopK);
  EXPECT_EQ(spec.soft_target_format().top_k, 16);
}

// So that neither the teacher's cache nor what it sends changes with T.
TEST(RunSpec, AChangingTemperatureIsAppliedByTheStudent) {
  RunSpec spec = ValidSpec();
  spec.loss.temperature_schedule = "cosine";
  spec.loss.temperature_end = 1;
  EXPECT_THAT(ValidateRunSpec(spec), IsOk());
  EXPECT_EQ(spec.soft_target_format().temperature, 1);
}

TEST(RunSpec, LabelsAreAPartOfTheSamples) {
  RunSpec spec = ValidSpec();
  for (const auto& [text, part] :
       {std::pair<std::string, double>{"", 1}, {"all", 1}, {"none", 0}, {"0.25", 0.25}}) {
    spec.dataset.labels = text;
    EXPECT_THAT(ValidateRunSpec(spec), IsOk());
    EXPECT_EQ(spec.labelled_fraction(), part);
  }
}

TEST(RunSpec, EvaluatesEveryNthRoundAndTheLast) {
  RunSpec spec = ValidSpec();
  spec.training.rounds = 10;
  spec.evaluation.every_rounds = 4;
  std::set<int64_t> rounds;
  for (int64_t round = 0; round <= 10; ++round) {
    if (spec.EvaluatesAt(round)) rounds.insert(round);
  }
  EXPECT_EQ(rounds, (std::set<int64_t>{4, 8, 10}));
  spec.evaluation.every_rounds = 0;
  EXPECT_FALSE(spec.EvaluatesAt(4));
  EXPECT_TRUE(spec.EvaluatesAt(10));
}

TEST(RunSpec, NeedsATeacherUnlessAlphaIsZero) {
  RunSpec spec = ValidSpec();
  EXPECT_TRUE(spec.needs_teacher());
  spec.loss.alpha = 0;
  EXPECT_FALSE(spec.needs_teacher());
  spec.loss.alpha_schedule = "linear";
  spec.loss.alpha_end = 0.5;
  EXPECT_TRUE(spec.needs_teacher());
}

// A run's record holds what was asked for; only caches use the one text of an augmentation.
TEST(RunSpecToJson, KeepsTheAugmentationAsWritten) {
  RunSpec spec = ValidSpec();
  for (const char* const text : {"", "none", "jitter:02", "flip+crop:4"}) {
    spec.dataset.augmentation = text;
    ASSERT_OK_AND_ASSIGN(const RunSpec read, ParseRunSpec(RunSpecToJson(spec), "json"));
    EXPECT_EQ(read.dataset.augmentation, text);
  }
}

// The request ids of runs are made of it.
TEST(RunSpecToJson, AKeyThatCameLaterIsOnlyWrittenWhereItIsSet) {
  RunSpec spec = ValidSpec();
  EXPECT_EQ(RunSpecToJson(spec).find("picture"), std::string::npos);
  spec.student.picture = {4, 4};
  EXPECT_NE(RunSpecToJson(spec).find(R"("picture":[4,4])"), std::string::npos);
}

TEST(RunSpecToJson, IsReadBackToTheSameSpec) {
  for (const RunSpec& spec : {FullSpec(), FullSpecOfFiles()}) {
    const std::string json = RunSpecToJson(spec);
    EXPECT_EQ(json.find('\n'), std::string::npos);
    ASSERT_OK_AND_ASSIGN(const RunSpec read, ParseRunSpec(json, "json"));
    // Numbers are the same bits, and text of any kind survives.
    EXPECT_EQ(ValuesOf(read), ValuesOf(spec));
    EXPECT_EQ(RunSpecToJson(read), json);
  }
}

// Else the test above would not see a field that is forgotten.
TEST(FullSpec, DiffersFromTheDefaultsInEveryField) {
  const std::vector<std::string> defaults = ValuesOf(RunSpec());
  const std::vector<std::string> full = ValuesOf(FullSpec());
  const std::vector<std::string> of_files = ValuesOf(FullSpecOfFiles());
  for (size_t i = 0; i < defaults.size(); ++i) {
    EXPECT_TRUE(full[i] != defaults[i] || of_files[i] != defaults[i]) << defaults[i];
  }
}

TEST(RunSpecFromJson, IsReadBackToTheSameSpec) {
  ASSERT_OK_AND_ASSIGN(const RunSpec read, RunSpecFromJson(RunSpecToJson(FullSpec())));
  EXPECT_EQ(RunSpecToJson(read), RunSpecToJson(FullSpec()));
}

TEST(ParseRunSpec, ClassesThatAreLeftOutHaveNamesOrNumbers) {
  const auto parse = [](const std::string& classes) {
    return ParseRunSpec(
        "student: {architecture: lenet}\ntraining: {local_steps: 3}\n"
        "dataset:\n  exclude_classes: " +
            classes + "\n",
        "run.yaml");
  };
  ASSERT_OK_AND_ASSIGN(const RunSpec spec, parse("[cat, 7, \"3\", 'a dog', -x]"));
  EXPECT_EQ(spec.dataset.exclude_classes, (std::vector<int64_t>{7}));
  EXPECT_EQ(spec.dataset.exclude_class_names,
            (std::vector<std::string>{"cat", "3", "a dog", "-x"}));
  for (const auto& [classes, what] :
       {std::pair{"[[1]]", "run.yaml:4: dataset.exclude_classes must be a list of classes"},
        std::pair{"cat", "run.yaml:4: dataset.exclude_classes must be a list"},
        std::pair{"[1, 1]", "run.yaml:4: dataset.exclude_classes names class 1 twice"}}) {
    EXPECT_THAT(parse(classes), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what)));
  }
}

TEST(RunSpecFromJson, WhatAnOlderVersionDidNotKnowKeepsItsDefault) {
  ASSERT_OK_AND_ASSIGN(const RunSpec read,
                       RunSpecFromJson(R"({"name":"old","student":{"architecture":"lenet"},)"
                                       R"("training":{"local_steps":3,"momentum":0}})"));
  EXPECT_EQ(read.name, "old");
  EXPECT_EQ(read.training.local_steps, 3);
  EXPECT_EQ(read.training.momentum, 0);
  EXPECT_EQ(read.training.learning_rate, RunSpec().training.learning_rate);
}

TEST(RunSpecFromJson, WhatCannotBeReadIsNamed) {
  for (const auto& [json, what] :
       {std::pair<std::string, std::string>{"", "no JSON"},
        {"[]", "no JSON"},
        {R"({"seed":1.5})", "seed"},
        {R"({"loss":{"alpha":null}})", "loss.alpha"},
        {R"({"loss":{"alpha":"x"}})", "loss.alpha"},
        {R"({"loss":3})", "loss"},
        {R"({"exact":1})", "exact"},
        {R"({"dataset":{"exclude_classes":[1,"a"]}})", "exclude_classes"},
        {R"({"warp":1})", "newer version"},
        {R"({"loss":{"warp":1}})", "newer version"},
        {R"({"student":{"architecture":"lenet"},"training":{"local_steps":3},)"
         R"("loss":{"alpha":7}})",
         "loss.alpha"}}) {
    EXPECT_THAT(RunSpecFromJson(json),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what)))
        << json;
  }
}

// What an older version took is read, a new one like it is refused.
TEST(RunSpecFromJson, ASpecThatIsTooLargeToBeSubmittedIsRead) {
  RunSpec spec = FullSpec();
  spec.dataset.exclude_classes.clear();
  for (int64_t i = 0; i < 200'000; ++i) spec.dataset.exclude_classes.push_back(i);
  EXPECT_THAT(ValidateRunSpec(spec),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("dataset.exclude_classes has 200000 entries, at most 100000")));
  ASSERT_OK_AND_ASSIGN(const RunSpec read, RunSpecFromJson(RunSpecToJson(spec)));
  EXPECT_EQ(read.dataset.exclude_classes, spec.dataset.exclude_classes);
}

TEST(ValidateRunSpec, TextsAreNotEndlessAndAreUtf8) {
  RunSpec spec = FullSpec();
  spec.teacher.model = std::string(4097, 'a');
  EXPECT_THAT(ValidateRunSpec(spec), StatusIs(absl::StatusCode::kInvalidArgument,
                                              HasSubstr("teacher.model has 4097 bytes")));
  spec.teacher.model = "caf\xE9.pt";
  EXPECT_THAT(ValidateRunSpec(spec), StatusIs(absl::StatusCode::kInvalidArgument,
                                              HasSubstr("teacher.model must be UTF-8")));
  spec.teacher.model = "caf\xC3\xA9.pt";
  EXPECT_THAT(ValidateRunSpec(spec), IsOk());
}

TEST(RunSpecFromJson, AZeroThatStandsForOneIsReadAsOne) {
  RunSpec zeros = ValidSpec();
  zeros.dataset.sample_fraction = 0;
  zeros.scheduling.priority = 0;
  ASSERT_OK_AND_ASSIGN(const RunSpec read, RunSpecFromJson(RunSpecToJson(zeros)));
  EXPECT_EQ(ValuesOf(read), ValuesOf(ValidSpec()));
}

// The request id of a run is a digest of this JSON.
TEST(RunSpecFiles, AZeroOfAYamlFileStaysInTheJsonThatRequestIdsAreMadeOf) {
  RunSpec zeros = ValidSpec();
  zeros.dataset.sample_fraction = 0;
  zeros.scheduling.priority = 0;
  const std::string json = RunSpecToJson(zeros);
  EXPECT_NE(json, RunSpecToJson(ValidSpec()));
  ASSERT_OK_AND_ASSIGN(const RunSpec read, ParseRunSpec(json, "run.yaml"));
  EXPECT_EQ(RunSpecToJson(read), json);
}

}  // namespace
}  // namespace distillery
