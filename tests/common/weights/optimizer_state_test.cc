#include "common/weights/optimizer_state.h"

#include "tests/common/status_matchers.h"
#include "tests/common/tensor_file.h"

namespace distillery {
namespace {

TEST(OptimizerState, IsAddedAndTakenApartAgain) {
  const Weights model = *Weights::FromFile(MakeTensorFile({{"a", {1, 2}}, {"z", {3}}}));
  const Weights state =
      *Weights::FromFile(MakeTensorFile({{kFirstMoment, {4, 5, 6}}}, {{kStepCount, 7}}));
  ASSERT_OK_AND_ASSIGN(const Weights all, WithOptimizerState(model, state));
  EXPECT_EQ(all.layout().tensors().size(), 4);
  EXPECT_THAT(TensorValues<float>(all.file(), kFirstMoment), ::testing::ElementsAre(4, 5, 6));
  EXPECT_EQ(ModelPart(all).file(), model.file());
  EXPECT_EQ(OptimizerPart(all).file(), state.file());
}

TEST(OptimizerState, WeightsWithoutItAreAModelAlone) {
  const Weights model = *Weights::FromFile(MakeTensorFile({{"a", {1, 2}}}));
  EXPECT_EQ(ModelPart(model).file(), model.file());
  EXPECT_TRUE(OptimizerPart(model).layout().tensors().empty());
}

TEST(OptimizerState, DoubledNamesAreRefused) {
  const Weights state = *Weights::FromFile(MakeTensorFile({{kFirstMoment, {4}}}));
  EXPECT_THAT(WithOptimizerState(state, state), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace distillery
