#include "common/weights/weights.h"

#include "common/base/checksum.h"
#include "tests/common/status_matchers.h"
#include "tests/common/tensor_file.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;

TEST(Weights, BeginAsZeros) {
  TensorSpec spec;
  spec.name = "w";
  spec.shape = {2};
  const Weights weights(*WeightsLayout::Create({spec}));
  EXPECT_THAT(TensorValues<float>(weights.file(), "w"), ElementsAre(0, 0));
}

TEST(Weights, CanonicalFileStaysAsItIs) {
  const std::string file = MakeTensorFile({{"a", {1}}, {"w", {2, 3}}}, {{"n", 4}});
  ASSERT_OK_AND_ASSIGN(const Weights weights, Weights::FromFile(file));
  EXPECT_EQ(weights.file(), file);
  EXPECT_EQ(weights.Sha256(), Sha256Hex(file));
}

TEST(Weights, FilesOfTheSameTensorsBecomeTheSameFile) {
  // "w" before "a", with metadata: what another program may write.
  const std::string json =
      R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
      R"("a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})";
  const uint64_t size = json.size();
  const float data[] = {2, 3, 1};
  const std::string file = std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + json +
                           std::string(reinterpret_cast<const char*>(data), sizeof(data));
  ASSERT_OK_AND_ASSIGN(const Weights weights, Weights::FromFile(file));
  EXPECT_EQ(weights.file(), MakeTensorFile({{"a", {1}}, {"w", {2, 3}}}));
  EXPECT_TRUE(WeightsLayout::Parse(weights.file())->canonical());
}

TEST(Weights, EmptyTensorsAndNoTensorsAreWeightsToo) {
  ASSERT_OK_AND_ASSIGN(const Weights empty, Weights::FromFile(MakeTensorFile({{"w", {}}})));
  EXPECT_EQ(empty.Bytes(empty.layout().tensors()[0]), "");
  ASSERT_OK_AND_ASSIGN(const Weights none, Weights::FromFile(MakeTensorFile({})));
  EXPECT_TRUE(none.layout().tensors().empty());
}

TEST(Weights, MalformedFilesAreInvalid) {
  EXPECT_THAT(Weights::FromFile("no weights"), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace distillery
