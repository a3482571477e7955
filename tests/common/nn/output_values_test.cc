#include "common/nn/output_values.h"

#include "tests/common/nn/small_model.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

enum class Card { kLogits, kProbabilities };

// Rows of four pictures in three classes, unlike each other and with both signs.
at::Tensor Rows() {
  return torch::tensor(
      {{3.0F, -1.0F, 0.5F}, {-2.0F, 4.0F, 1.0F}, {0.1F, 0.2F, -0.4F}, {5.0F, 2.0F, 1.0F}});
}

absl::Status Check(const at::Tensor& rows, Card says, bool trusted = false,
                   const at::Tensor& overdriven = at::Tensor(), bool untrained = false) {
  ModelCard card = SmallCard();
  card.outputs_probabilities = says == Card::kProbabilities;
  card.trust_output = trusted;
  OutputQuestion question;
  question.rows = rows;
  question.overdriven = [&] { return overdriven; };
  question.untrained = untrained;
  return CheckOutputValues(question, card);
}

void ExpectRefusal(const absl::Status& status, const ::testing::Matcher<std::string>& message) {
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, message));
}

TEST(OutputValues, TakesWhatTheCardSays) {
  EXPECT_THAT(Check(Rows(), Card::kLogits), IsOk());
  EXPECT_THAT(Check(at::log_softmax(Rows(), 1), Card::kLogits), IsOk());
  EXPECT_THAT(Check(at::softmax(Rows(), 1), Card::kProbabilities), IsOk());
  // One-hot votes are probabilities too.
  EXPECT_THAT(Check(torch::eye(3), Card::kProbabilities), IsOk());
  // A network whose last layer is yet zero.
  EXPECT_THAT(Check(torch::zeros({4, 3}), Card::kLogits), IsOk());
}

TEST(OutputValues, Fault68_ProbabilitiesAreNotNegativeAndSumToOne) {
  ExpectRefusal(Check(Rows(), Card::kProbabilities),
                AllOf(HasSubstr("go down to -2"), HasSubstr("\"output\" to \"logits\"")));
  ExpectRefusal(Check(at::log_softmax(Rows(), 1), Card::kProbabilities),
                AllOf(HasSubstr("log-probabilities"), HasSubstr("\"output\": \"logits\"")));
  ExpectRefusal(Check(Rows().abs(), Card::kProbabilities),
                AllOf(HasSubstr("rows sum to 0.7 to 8"), HasSubstr("trust_output")));
  ExpectRefusal(Check(at::sigmoid(Rows()), Card::kProbabilities), HasSubstr("sigmoid"));
  ExpectRefusal(Check(at::softmax(Rows(), 1) * 100, Card::kProbabilities),
                HasSubstr("rows sum to 100"));
}

TEST(OutputValues, Fault68_LogitsAreNoProbabilities) {
  ExpectRefusal(Check(at::softmax(Rows(), 1), Card::kLogits),
                AllOf(HasSubstr("rows sum to 1"), HasSubstr("\"probabilities\"")));
  ExpectRefusal(Check(at::softmax(Rows(), 1), Card::kLogits, false, {}, /*untrained=*/true),
                HasSubstr("rows sum to 1"));
}

TEST(OutputValues, Fault68_VotesAndPercentagesAreNoLogits) {
  const at::Tensor percentages = at::softmax(Rows(), 1) * 100;
  ExpectRefusal(Check(percentages, Card::kLogits),
                AllOf(HasSubstr("sum to 100"), HasSubstr("trust_output")));
  ExpectRefusal(Check(percentages.round(), Card::kLogits), HasSubstr("votes and percentages"));
  ExpectRefusal(Check(torch::eye(3) * 50, Card::kLogits), HasSubstr("sum to 50"));
  EXPECT_THAT(Check(percentages, Card::kProbabilities, /*trusted=*/true), IsOk());
}

TEST(OutputValues, Fault68_SigmoidsAreNoLogits) {
  const at::Tensor sigmoids = at::sigmoid(Rows());
  ExpectRefusal(
      Check(sigmoids, Card::kLogits, false, at::sigmoid(Rows() * 1000)),
      AllOf(HasSubstr("stay within 0 and 1"), HasSubstr("sigmoid"), HasSubstr("trust_output")));
  // Small logits of a network that follows its inputs.
  EXPECT_THAT(Check(sigmoids, Card::kLogits, false, Rows() * 1000), IsOk());
  EXPECT_THAT(Check(sigmoids, Card::kLogits, false, {}, /*untrained=*/true), IsOk());
}

// As for a model of tokens.
TEST(OutputValues, WhereNothingTellsSigmoidsFromSmallLogitsFewClassesAreTaken) {
  ModelCard card = SmallCard();
  OutputQuestion question;
  const auto check = [&](int64_t classes, const std::string& architecture) {
    card.architecture = architecture;
    question.rows = torch::linspace(0.1, 0.9, 4 * classes).view({4, classes});
    return CheckOutputValues(question, card);
  };
  EXPECT_THAT(check(3, ""), IsOk());
  ExpectRefusal(check(10, ""), HasSubstr("sigmoid"));
  EXPECT_THAT(check(10, "transformer:1-2-8"), IsOk());
}

TEST(OutputValues, ACardThatSaysSoIsBelieved) {
  EXPECT_THAT(Check(at::softmax(Rows(), 1), Card::kLogits, /*trusted=*/true), IsOk());
  EXPECT_THAT(Check(at::sigmoid(Rows()), Card::kProbabilities, /*trusted=*/true), IsOk());
  // But a negative number has no logarithm.
  ExpectRefusal(Check(Rows(), Card::kProbabilities, /*trusted=*/true), HasSubstr("go down to -2"));
}

TEST(OutputValues, RowsThatAreNotFiniteSayNothing) {
  at::Tensor rows = Rows();
  rows[1].fill_(INFINITY);
  EXPECT_THAT(Check(rows, Card::kLogits), IsOk());
  EXPECT_THAT(Check(rows * NAN, Card::kProbabilities), IsOk());
}

}  // namespace
}  // namespace distillery
