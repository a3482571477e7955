#include "coordinator/average.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>
#include <tuple>

#include "common/base/checksum.h"
#include "common/base/files.h"
#include "tests/common/eaten_descriptors.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"
#include "tests/common/tensor_file.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Floats = std::vector<float>;

class AverageTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& bytes) {
    EXPECT_THAT(WriteFileDurably(folder_.File(name), bytes), IsOk());
    return folder_.File(name);
  }
  void SetWeights(const std::string& bytes) { request_.weights_path = Write("weights", bytes); }
  void AddDelta(const std::string& bytes, double samples) {
    request_.deltas.push_back(
        {Write("delta-" + std::to_string(request_.deltas.size()), bytes), samples});
  }
  absl::StatusOr<AverageResult> Average() {
    request_.weights_output = folder_.File("weights-out");
    request_.momentum_output = folder_.File("momentum-out");
    request_.variance_output = folder_.File("variance-out");
    return AverageDeltas(request_);
  }
  std::string NewWeights() { return *ReadFile(folder_.File("weights-out"), 1 << 30); }
  std::string NewMomentum() { return *ReadFile(folder_.File("momentum-out"), 1 << 30); }

  TemporaryFolder folder_;
  AverageRequest request_;
};

TEST_F(AverageTest, FedAvgAddsTheMeanWeightedBySamples) {
  SetWeights(MakeTensorFile({{"w", {1, 2}}}));
  AddDelta(MakeTensorFile({{"w", {1, 0}}}), 1);
  AddDelta(MakeTensorFile({{"w", {0, 4}}}), 3);
  ASSERT_THAT(Average(), IsOk());
  // mean = 1/4 [1, 0] + 3/4 [0, 4] = [0.25, 3]
  EXPECT_THAT(TensorValues<float>(NewWeights(), "w"), ElementsAre(1.25F, 5.0F));
}

TEST_F(AverageTest, DamagedInputsAreNamedAndNothingIsWritten) {
  const auto digest_of = [](const std::string& path) {
    return Sha256Hex(*ReadFile(path, 1 << 20));
  };
  SetWeights(MakeTensorFile({{"mean", {3}}, {"w", {1, 2}}}));
  for (int k = 0; k < 3; ++k) AddDelta(MakeTensorFile({{"mean", {3}}, {"w", {1, 0}}}), 1);
  request_.buffer_names = {"mean"};
  request_.weights_sha256 = digest_of(request_.weights_path);
  for (ReplicaDelta& delta : request_.deltas) delta.sha256 = digest_of(delta.path);
  {
    ASSERT_OK_AND_ASSIGN(const AverageResult sound, Average());
    EXPECT_FALSE(sound.damaged());
  }
  ASSERT_THAT(RemoveFile(folder_.File("weights-out")), IsOk());
  // A buffer's value, which no norm is made of; the header; and the whole file.
  Write("delta-0", MakeTensorFile({{"mean", {4}}, {"w", {1, 0}}}));
  Write("delta-1", MakeTensorFile({{"mean", {3}}, {"x", {1, 0}}}));
  ASSERT_THAT(RemoveFile(folder_.File("delta-2")), IsOk());
  ASSERT_OK_AND_ASSIGN(const AverageResult damaged, Average());
  EXPECT_THAT(damaged.damaged_replicas, ElementsAre(0, 1, 2));
  EXPECT_FALSE(damaged.weights_damaged);
  EXPECT_FALSE(FileExists(folder_.File("weights-out")));
  Write("weights", MakeTensorFile({{"mean", {3}}, {"w", {1, 2.5}}}));
  ASSERT_OK_AND_ASSIGN(const AverageResult other, Average());
  EXPECT_TRUE(other.weights_damaged);
}

// What goes wrong with a file after it was checked and before its bytes are averaged. The new
// weights are written to a pipe, whose writer waits for its reader: the first pass is over once it
// can be opened, and of files of several fragments the last ones have not been read again.
struct LateDamage {
  const char* name;
  std::string file;
  // The bytes at the end of the file; none: it is cut short.
  std::string bytes;
  bool of_weights;
};

class DamagedBetweenThePasses : public AverageTest,
                                public ::testing::WithParamInterface<LateDamage> {};

TEST_P(DamagedBetweenThePasses, Fault62_IsNamedAndNoWeightsComeOfIt) {
  const LateDamage& damage = GetParam();
  const auto file = [](float value) {
    return MakeTensorFile({{"mean", {3}}, {"w", Floats(1'000'000, value)}}, {{"z", 5}});
  };
  request_.buffer_names = {"mean", "z"};
  request_.outer_optimizer = "nesterov";
  request_.outer_momentum = 0.5;
  SetWeights(file(1));
  request_.momentum_path = Write("momentum", file(0.5));
  for (int k = 0; k < 3; ++k) AddDelta(file(0.25F), 1);
  request_.weights_sha256 = Sha256Hex(*ReadFile(request_.weights_path, 1 << 30));
  request_.momentum_sha256 = Sha256Hex(*ReadFile(request_.momentum_path, 1 << 30));
  for (ReplicaDelta& delta : request_.deltas) {
    delta.sha256 = Sha256Hex(*ReadFile(delta.path, 1 << 30));
  }
  ASSERT_EQ(mkfifo(folder_.File("weights-out").c_str(), 0600), 0);
  absl::StatusOr<AverageResult> average;
  std::thread averaging([&] { average = Average(); });
  {
    std::ifstream pipe(folder_.File("weights-out"), std::ios::binary);
    const std::string path = folder_.File(damage.file);
    if (damage.bytes.empty()) {
      std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
    } else {
      std::fstream damaged(path, std::ios::in | std::ios::out | std::ios::binary);
      damaged.seekp(-static_cast<int64_t>(damage.bytes.size()), std::ios::end);
      damaged << damage.bytes;
    }
    pipe.ignore(std::numeric_limits<std::streamsize>::max());
  }
  averaging.join();
  ASSERT_THAT(average, IsOk());
  EXPECT_EQ(average->weights_damaged, damage.of_weights);
  if (damage.of_weights) {
    EXPECT_THAT(average->damaged_replicas, ::testing::IsEmpty());
  } else {
    EXPECT_THAT(average->damaged_replicas, ElementsAre(damage.file.back() - '0'));
  }
  EXPECT_FALSE(FileExists(folder_.File("momentum-out")));
}

// The last eight bytes are "z", a buffer that replica 0 gives; those before are parameters.
const std::string kFourFloats(16, '\x41');

INSTANTIATE_TEST_SUITE_P(
    Kinds, DamagedBetweenThePasses,
    ::testing::Values(LateDamage{"delta_rots", "delta-1", kFourFloats, false},
                      LateDamage{"delta_is_no_number", "delta-2", std::string(16, '\xFF'), false},
                      LateDamage{"delta_is_cut_short", "delta-1", "", false},
                      LateDamage{"buffer_that_is_used", "delta-0", "\x06", false},
                      LateDamage{"buffer_that_is_not_used", "delta-2", "\x06", false},
                      LateDamage{"weights_rot", "weights", kFourFloats, true},
                      LateDamage{"weights_are_cut_short", "weights", "", true},
                      LateDamage{"momentum_rots", "momentum", kFourFloats, true}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(AverageTest, MomentsHaveTheirDigestsAndAreChecked) {
  SetWeights(MakeTensorFile({{"w", {1, 2}}}));
  AddDelta(MakeTensorFile({{"w", {1, 0}}}), 1);
  request_.outer_optimizer = "nesterov";
  request_.outer_momentum = 0.9;
  ASSERT_OK_AND_ASSIGN(const AverageResult first, Average());
  EXPECT_EQ(first.momentum_sha256, Sha256Hex(NewMomentum()));
  EXPECT_EQ(first.variance_sha256, "");
  request_.momentum_path = Write("momentum", NewMomentum());
  request_.momentum_sha256 = first.momentum_sha256;
  ASSERT_OK_AND_ASSIGN(const AverageResult second, Average());
  EXPECT_FALSE(second.damaged());
  request_.momentum_sha256[0] = request_.momentum_sha256[0] == '0' ? '1' : '0';
  ASSERT_OK_AND_ASSIGN(const AverageResult third, Average());
  EXPECT_TRUE(third.weights_damaged);
}

TEST_F(AverageTest, NothingIsKeptIfOneOfTheFilesCannotBeSynced) {
  SetWeights(MakeTensorFile({{"w", {1, 2}}}));
  AddDelta(MakeTensorFile({{"w", {1, 0}}}), 1);
  request_.outer_optimizer = "nesterov";
  // The system syncs no pipe.
  ASSERT_EQ(mkfifo(folder_.File("momentum-out").c_str(), 0600), 0);
  absl::StatusOr<AverageResult> average;
  std::thread averaging([&] { average = Average(); });
  {
    std::ifstream pipe(folder_.File("momentum-out"), std::ios::binary);
    pipe.ignore(std::numeric_limits<std::streamsize>::max());
  }
  averaging.join();
  EXPECT_FALSE(average.ok());
  EXPECT_FALSE(FileExists(folder_.File("weights-out")));
  EXPECT_FALSE(FileExists(folder_.File("momentum-out")));
}

TEST_F(AverageTest, ADeltaThatMayNotBeReadIsDamagedAndWeightsAreWaitedFor) {
  SetWeights(MakeTensorFile({{"w", {1, 2}}}));
  AddDelta(MakeTensorFile({{"w", {1, 0}}}), 1);
  request_.weights_sha256 = Sha256Hex(*ReadFile(request_.weights_path, 1 << 20));
  request_.deltas[0].sha256 = Sha256Hex(*ReadFile(request_.deltas[0].path, 1 << 20));
  // Nobody reads a folder as a file, whatever rights the test has.
  const std::string delta = request_.deltas[0].path;
  request_.deltas[0].path = folder_.File("");
  ASSERT_OK_AND_ASSIGN(const AverageResult average, Average());
  EXPECT_THAT(average.damaged_replicas, ElementsAre(0));
  request_.deltas[0].path = delta;
  request_.weights_path = folder_.File("");
  EXPECT_THAT(Average(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(AverageTest, OuterLearningRateScalesTheMean) {
  SetWeights(MakeTensorFile({{"w", {1, 2}}}));
  AddDelta(MakeTensorFile({{"w", {2, -8}}}), 7);
  request_.outer_learning_rate = 0.25;
  ASSERT_THAT(Average(), IsOk());
  // 1 + 0.25 * 2, 2 - 0.25 * 8
  EXPECT_THAT(TensorValues<float>(NewWeights(), "w"), ElementsAre(1.5F, 0.0F));
}

TEST_F(AverageTest, NesterovCarriesItsMomentumIntoTheNextRound) {
  request_.outer_optimizer = "nesterov";
  request_.outer_momentum = 0.5;
  request_.outer_learning_rate = 2;
  SetWeights(MakeTensorFile({{"w", {10}}}));
  AddDelta(MakeTensorFile({{"w", {-1}}}), 1);
  ASSERT_THAT(Average(), IsOk());
  // g = 1; m = 0.5 * 0 + 1 = 1; W = 10 - 2 (1 + 0.5 * 1) = 7
  EXPECT_THAT(TensorValues<float>(NewMomentum(), "w"), ElementsAre(1.0F));
  EXPECT_THAT(TensorValues<float>(NewWeights(), "w"), ElementsAre(7.0F));

  request_.momentum_path = Write("momentum", NewMomentum());
  SetWeights(NewWeights());
  request_.deltas.clear();
  AddDelta(MakeTensorFile({{"w", {2}}}), 1);
  ASSERT_THAT(Average(), IsOk());
  // g = -2; m = 0.5 * 1 - 2 = -1.5; W = 7 - 2 (-2 + 0.5 * -1.5) = 12.5
  EXPECT_THAT(TensorValues<float>(NewMomentum(), "w"), ElementsAre(-1.5F));
  EXPECT_THAT(TensorValues<float>(NewWeights(), "w"), ElementsAre(12.5F));
}

TEST_F(AverageTest, MomentumMovesByTheBufferAlone) {
  request_.outer_optimizer = "momentum";
  request_.outer_momentum = 0.5;
  request_.outer_learning_rate = 2;
  request_.momentum_path = Write("momentum", MakeTensorFile({{"w", {4}}}));
  SetWeights(MakeTensorFile({{"w", {10}}}));
  AddDelta(MakeTensorFile({{"w", {-1}}}), 1);
  ASSERT_THAT(Average(), IsOk());
  // g = 1; m = 0.5 * 4 + 1 = 3; W = 10 - 2 * 3
  EXPECT_THAT(TensorValues<float>(NewMomentum(), "w"), ElementsAre(3.0F));
  EXPECT_THAT(TensorValues<float>(NewWeights(), "w"), ElementsAre(4.0F));
}

TEST_F(AverageTest, AdamDividesByTheRootOfTheVariance) {
  request_.outer_optimizer = "adam";
  request_.outer_momentum = 0.5;
  request_.outer_beta2 = 0.75;
  request_.outer_epsilon = 1;
  request_.outer_learning_rate = 2;
  request_.momentum_path = Write("momentum", MakeTensorFile({{"w", {2}}}));
  request_.variance_path = Write("variance", MakeTensorFile({{"w", {4}}}));
  SetWeights(MakeTensorFile({{"w", {10}}}));
  AddDelta(MakeTensorFile({{"w", {8}}}), 1);
  ASSERT_THAT(Average(), IsOk());
  // m = 0.5 * 2 + 0.5 * 8 = 5; v = 0.75 * 4 + 0.25 * 64 = 19; W = 10 + 2 * 5 / (sqrt(19) + 1)
  EXPECT_THAT(TensorValues<float>(NewMomentum(), "w"), ElementsAre(5.0F));
  EXPECT_THAT(TensorValues<float>(*ReadFile(folder_.File("variance-out"), 1 << 20), "w"),
              ElementsAre(19.0F));
  EXPECT_THAT(TensorValues<float>(NewWeights(), "w"),
              ElementsAre(::testing::FloatEq(10 + 10 / (std::sqrt(19.0F) + 1))));
}

TEST_F(AverageTest, TheMedianIsUnmovedByOneReplicaGoneWrong) {
  request_.method = "median";
  SetWeights(MakeTensorFile({{"w", {0, 0}}}));
  AddDelta(MakeTensorFile({{"w", {1, 5}}}), 1);
  AddDelta(MakeTensorFile({{"w", {1e30F, -1e30F}}}), 1000);
  AddDelta(MakeTensorFile({{"w", {3, 4}}}), 1);
  ASSERT_THAT(Average(), IsOk());
  EXPECT_THAT(TensorValues<float>(NewWeights(), "w"), ElementsAre(3.0F, 4.0F));
  // For four, the mean of the two in the middle.
  AddDelta(MakeTensorFile({{"w", {5, 8}}}), 1);
  ASSERT_THAT(Average(), IsOk());
  EXPECT_THAT(TensorValues<float>(NewWeights(), "w"), ElementsAre(4.0F, 4.5F));
}

TEST_F(AverageTest, TheTrimmedMeanLeavesTheEndsOut) {
  request_.method = "trimmed_mean";
  request_.trim = 0.25;
  SetWeights(MakeTensorFile({{"w", {0}}}));
  for (const float value : {7.0F, -1e30F, 1.0F, 1e30F}) {
    AddDelta(MakeTensorFile({{"w", {value}}}), 1);
  }
  ASSERT_THAT(Average(), IsOk());
  EXPECT_THAT(TensorValues<float>(NewWeights(), "w"), ElementsAre(4.0F));  // of 1 and 7
  // A quarter of three is none.
  request_.deltas.pop_back();
  request_.deltas.erase(request_.deltas.begin() + 1);
  ASSERT_THAT(Average(), IsOk());
  EXPECT_THAT(TensorValues<float>(NewWeights(), "w"), ElementsAre(4.0F));
}

TEST_F(AverageTest, RobustMethodsAverageLargeTensorsThroughoutAndBuffersByTheMean) {
  constexpr size_t kSize = 300'001;
  const Floats ones(kSize, 1);
  const Floats twos(kSize, 2);
  const Floats nines(kSize, 9);
  request_.method = "median";
  request_.buffer_names = {"mean"};
  SetWeights(MakeTensorFile({{"mean", {0}}, {"w", ones}}));
  AddDelta(MakeTensorFile({{"mean", {1}}, {"w", nines}}), 1);
  AddDelta(MakeTensorFile({{"mean", {4}}, {"w", ones}}), 1);
  AddDelta(MakeTensorFile({{"mean", {4}}, {"w", ones}}), 1);
  ASSERT_THAT(Average(), IsOk());
  EXPECT_TRUE(TensorValues<float>(NewWeights(), "w") == twos);
  EXPECT_THAT(TensorValues<float>(NewWeights(), "mean"), ElementsAre(3.0F));
}

TEST_F(AverageTest, LargeDeltasAreClippedAndNormsAreOfParametersAlone) {
  request_.clip_norm = 1;
  request_.buffer_names = {"mean"};
  SetWeights(MakeTensorFile({{"mean", {0}}, {"w", {0, 0}}}));
  AddDelta(MakeTensorFile({{"mean", {100}}, {"w", {3, 4}}}), 1);
  AddDelta(MakeTensorFile({{"mean", {100}}, {"w", {0.5, 0}}}), 1);
  ASSERT_OK_AND_ASSIGN(const AverageResult average, Average());
  EXPECT_THAT(average.delta_norms, ElementsAre(5, 0.5));
  // ([0.6, 0.8] + [0.5, 0]) / 2
  EXPECT_THAT(TensorValues<float>(NewWeights(), "w"), ElementsAre(0.55F, 0.4F));
  EXPECT_THAT(TensorValues<float>(NewWeights(), "mean"), ElementsAre(100.0F));
}

TEST_F(AverageTest, FloatBuffersTakeTheWeightedMeanOfTheValues) {
  SetWeights(MakeTensorFile({{"mean", {100}}, {"w", {0}}}));
  AddDelta(MakeTensorFile({{"mean", {4}}, {"w", {0}}}), 1);
  AddDelta(MakeTensorFile({{"mean", {8}}, {"w", {0}}}), 3);
  request_.buffer_names = {"mean"};
  request_.outer_learning_rate = 0.5;
  ASSERT_THAT(Average(), IsOk());
  // 1/4 * 4 + 3/4 * 8 = 7: neither the old value nor the outer rate has a part in it.
  EXPECT_THAT(TensorValues<float>(NewWeights(), "mean"), ElementsAre(7.0F));
}

TEST_F(AverageTest, IntegerBuffersTakeReplicaZerosValue) {
  SetWeights(MakeTensorFile({}, {{"steps", 5}}));
  AddDelta(MakeTensorFile({}, {{"steps", 11}}), 1);
  AddDelta(MakeTensorFile({}, {{"steps", 99}}), 1000);
  request_.buffer_names = {"steps"};
  ASSERT_THAT(Average(), IsOk());
  EXPECT_THAT(TensorValues<int64_t>(NewWeights(), "steps"), ElementsAre(11));
}

TEST_F(AverageTest, NesterovLeavesBuffersWithoutMomentum) {
  request_.outer_optimizer = "nesterov";
  request_.outer_momentum = 0.5;
  SetWeights(MakeTensorFile({{"mean", {1}}, {"w", {0}}}, {{"steps", 5}}));
  AddDelta(MakeTensorFile({{"mean", {3}}, {"w", {0}}}, {{"steps", 6}}), 1);
  request_.buffer_names = {"mean", "steps"};
  ASSERT_THAT(Average(), IsOk());
  EXPECT_THAT(TensorValues<float>(NewWeights(), "mean"), ElementsAre(3.0F));
  EXPECT_THAT(TensorValues<float>(NewMomentum(), "mean"), ElementsAre(0.0F));
  EXPECT_THAT(TensorValues<int64_t>(NewMomentum(), "steps"), ElementsAre(0));
}

TEST_F(AverageTest, SumsInReplicaOrder) {
  // In replica order (1e30 - 1e30) / 3 + 1/3 = 1/3; in any order that ends in one of the large ones
  // the small one is lost and the sum is 0.
  SetWeights(MakeTensorFile({{"w", {0}}}));
  AddDelta(MakeTensorFile({{"w", {1e30F}}}), 1);
  AddDelta(MakeTensorFile({{"w", {-1e30F}}}), 1);
  AddDelta(MakeTensorFile({{"w", {1}}}), 1);
  ASSERT_THAT(Average(), IsOk());
  EXPECT_THAT(TensorValues<float>(NewWeights(), "w"), ElementsAre(1.0F / 3.0F));
  std::swap(request_.deltas[1], request_.deltas[2]);
  ASSERT_THAT(Average(), IsOk());
  EXPECT_THAT(TensorValues<float>(NewWeights(), "w"), ElementsAre(0.0F));
}

TEST_F(AverageTest, TensorsLargerThanAFragmentAreAveragedThroughout) {
  // 600,001 floats are 2.4 MB: three fragments of one megabyte, the last one partial.
  constexpr size_t kSize = 600'001;
  Floats weights(kSize);
  Floats delta0(kSize);
  Floats delta1(kSize);
  Floats expected(kSize);
  for (size_t i = 0; i < kSize; ++i) {
    weights[i] = static_cast<float>(i % 1000);
    delta0[i] = static_cast<float>(i % 7);
    delta1[i] = static_cast<float>(i % 5);
    // Halves of small whole numbers are exact.
    expected[i] = weights[i] + (delta0[i] + delta1[i]) / 2;
  }
  SetWeights(MakeTensorFile({{"a", {1}}, {"w", weights}}));
  AddDelta(MakeTensorFile({{"a", {1}}, {"w", delta0}}), 10);
  AddDelta(MakeTensorFile({{"a", {3}}, {"w", delta1}}), 10);
  ASSERT_OK_AND_ASSIGN(const AverageResult average, Average());
  EXPECT_THAT(TensorValues<float>(NewWeights(), "a"), ElementsAre(3.0F));
  EXPECT_TRUE(TensorValues<float>(NewWeights(), "w") == expected);
  EXPECT_EQ(average.weights_sha256, Weights::FromFile(NewWeights())->Sha256());
}

TEST_F(AverageTest, AverageThatOverflowsIsDataLossAndLeavesNoFile) {
  const float largest = std::numeric_limits<float>::max();
  SetWeights(MakeTensorFile({{"w", {largest}}}));
  AddDelta(MakeTensorFile({{"w", {largest}}}), 1);
  EXPECT_THAT(Average(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("\"w\"")));
  EXPECT_FALSE(FileExists(folder_.File("weights-out")));
}

TEST_F(AverageTest, DeltaOfAnotherLayoutIsRefused) {
  SetWeights(MakeTensorFile({{"w", {1, 2}}}));
  AddDelta(MakeTensorFile({{"v", {1, 2}}}), 1);
  EXPECT_THAT(Average(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(AverageTest, DeltaThatIsCutShortIsDataLoss) {
  SetWeights(MakeTensorFile({{"w", {1, 2}}}));
  const std::string delta = MakeTensorFile({{"w", {1, 2}}});
  AddDelta(delta.substr(0, delta.size() - 1), 1);
  EXPECT_THAT(Average(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("cut short")));
}

TEST_F(AverageTest, DamagedWeightsAreDataLoss) {
  std::string weights = MakeTensorFile({{"w", {1, 2}}});
  weights[9] = '!';  // within the header's JSON
  SetWeights(weights);
  AddDelta(MakeTensorFile({{"w", {1, 2}}}), 1);
  EXPECT_THAT(Average(), StatusIs(absl::StatusCode::kDataLoss));
}

// Fault 58: more replicas than the process may have files open.
class ManyReplicas : public AverageTest,
                     public ::testing::WithParamInterface<std::tuple<int, rlim_t, const char*>> {
 protected:
  void WritePlainly(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
};

TEST_P(ManyReplicas, Fault58_AreAveragedWithFewDescriptorsInTheOrderOfTheReplicas) {
  const auto& [replicas, descriptors, method] = GetParam();
  const Floats before = {1, -2, 0.125F};
  SetWeights(MakeTensorFile({{"mean", {0}}, {"w", before}}));
  request_.buffer_names = {"mean"};
  request_.method = method;
  std::vector<std::vector<double>> deltas(before.size());
  std::vector<double> samples;
  double total = 0;
  for (int k = 0; k < replicas; ++k) {
    Floats delta;
    for (size_t i = 0; i < before.size(); ++i) {
      // Sums of these depend on their order.
      delta.push_back(std::ldexp(static_cast<float>((k * 7919 + 13) % 1009), (k + i) % 40 - 20));
      deltas[i].push_back(delta[i]);
    }
    const std::string bytes = MakeTensorFile({{"mean", {1}}, {"w", delta}});
    const std::string path = folder_.File("delta-" + std::to_string(k));
    WritePlainly(path, bytes);
    samples.push_back(100 + k % 7);
    total += samples.back();
    request_.deltas.push_back({path, samples.back(), Sha256Hex(bytes)});
  }
  {
    const DescriptorLimit few(descriptors);
    ASSERT_OK_AND_ASSIGN(const AverageResult result, Average());
    EXPECT_FALSE(result.damaged());
  }
  Floats expected;
  for (size_t i = 0; i < before.size(); ++i) {
    double mean = 0;
    if (request_.method == "mean") {
      for (size_t k = 0; k < deltas[i].size(); ++k) mean += samples[k] / total * deltas[i][k];
    } else {
      std::sort(deltas[i].begin(), deltas[i].end());
      const size_t half = deltas[i].size() / 2;
      mean = (deltas[i][half - 1] + deltas[i][half]) / 2;
    }
    expected.push_back(static_cast<float>(before[i] + mean));
  }
  EXPECT_EQ(TensorValues<float>(NewWeights(), "w"), expected) << "to the last bit";

  // One that is damaged is named, wherever it stands.
  for (const int k : {0, replicas / 2, replicas - 1}) {
    WritePlainly(request_.deltas[static_cast<size_t>(k)].path, "rotten");
  }
  const DescriptorLimit few(descriptors);
  ASSERT_OK_AND_ASSIGN(const AverageResult damaged, Average());
  EXPECT_THAT(damaged.damaged_replicas, ElementsAre(0, replicas / 2, replicas - 1));
}

INSTANTIATE_TEST_SUITE_P(Limits, ManyReplicas,
                         ::testing::Values(std::tuple(1100, 1024, "mean"),
                                           std::tuple(1100, 256, "median"),
                                           std::tuple(4096, 1024, "median"),
                                           std::tuple(4096, 256, "mean"),
                                           std::tuple(4096, 64, "mean")));

}  // namespace
}  // namespace distillery
