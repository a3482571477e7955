#include "common/nn/output_values.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/logging.h"

namespace distillery {
namespace {

constexpr char kTrust[] = "\"trust_output\": true in the card takes the values as they are";

double Smallest(const at::Tensor& values) { return values.min().item<double>(); }
double Largest(const at::Tensor& values) { return values.max().item<double>(); }

// Whether the sums of all rows are within `tolerance` of 1.
bool SumToOne(const at::Tensor& rows, double tolerance) {
  return Largest((rows.sum(1) - 1).abs()) <= tolerance;
}

// "rows sum to 7.3", "rows sum to 3.1 to 7.3"
std::string Sums(const at::Tensor& rows) {
  const at::Tensor sums = rows.sum(1);
  const std::string low = absl::StrFormat("%.4g", Smallest(sums));
  const std::string high = absl::StrFormat("%.4g", Largest(sums));
  return absl::StrCat("its rows sum to ", low, low == high ? "" : absl::StrCat(" to ", high));
}

absl::Status CheckProbabilities(const at::Tensor& rows, double tolerance, bool trusted) {
  if (Smallest(rows) < -tolerance) {
    const std::string seen = absl::StrFormat(
        "the card says probabilities, but its answers go down to %.4g", Smallest(rows));
    if (SumToOne(rows.exp(), tolerance)) {
      return absl::InvalidArgumentError(
          absl::StrCat(seen,
                       ", and e to the power of them sums to 1: they are log-probabilities "
                       "(log_softmax), for which the card's \"output\": \"logits\" is right"));
    }
    return absl::InvalidArgumentError(
        absl::StrCat(seen,
                     ", as logits do: set \"output\" to \"logits\" in the card, or put a "
                     "softmax at the end of the model"));
  }
  if (trusted || SumToOne(rows, tolerance)) return absl::OkStatus();
  const char* const guess =
      Largest(rows) <= 1 + tolerance
          ? "as sigmoids do, which are no distribution: take the sigmoid out of the model and set "
            "\"output\" to \"logits\""
          : "which votes and percentages may, and logits: divide each row by its sum in the model, "
            "or "
            "set \"output\" to \"logits\" if they are those";
  return absl::InvalidArgumentError(
      absl::StrCat("the card says probabilities, but ", Sums(rows), ", ", guess, "; ", kTrust,
                   ", as weights >= 0 in proportion to the probabilities"));
}

// Votes and percentages: rows that are unlike each other, and whose sums are not.
bool SumsAreOneNumber(const at::Tensor& rows) {
  constexpr double kRounding = 0.02;
  constexpr double kUnlike = 10;
  const at::Tensor sums = rows.sum(1);
  const double spread = Largest(sums) - Smallest(sums);
  const double between_rows = Largest(std::get<0>(rows.max(0)) - std::get<0>(rows.min(0)));
  return Largest(sums) > 0 && spread <= kRounding * Largest(sums) &&
         between_rows > kUnlike * spread && between_rows > 1e-3 * Largest(sums);
}

// For logits that all lie within 0..1: INVALID_ARGUMENT with `what` if a sigmoid keeps them there.
absl::Status CheckForSigmoid(const OutputQuestion& question, const ModelCard& card,
                             const at::Tensor& rows, const std::string& what) {
  // A network without sigmoid or softmax at its end follows its inputs out of the range.
  const at::Tensor far = question.overdriven ? question.overdriven() : at::Tensor();
  if (far.defined()) {
    const bool stays = Smallest(far) >= 0 && Largest(far) <= 1;
    return stays ? absl::InvalidArgumentError(what) : absl::OkStatus();
  }
  // Whole numbers cannot be driven anywhere. Built-in architectures end with a linear layer, and
  // the logits of few classes, of a network that has learned little, lie there by chance.
  if (!card.architecture.empty()) return absl::OkStatus();
  constexpr int64_t kTooManyForChance = 10;
  if (rows.size(1) >= kTooManyForChance) return absl::InvalidArgumentError(what);
  LogWarning("if this is right, nothing needs to be done: {}", what);
  return absl::OkStatus();
}

absl::Status CheckLogits(const OutputQuestion& question, const ModelCard& card,
                         const at::Tensor& rows) {
  if (Smallest(rows) < 0) return absl::OkStatus();
  if (SumToOne(rows, question.tolerance)) {
    return absl::InvalidArgumentError(
        "its rows sum to 1, so they are probabilities, not logits: set \"output\" to "
        "\"probabilities\" in the card, or take the softmax out of the model");
  }
  if (question.untrained || Largest(std::get<0>(rows.max(0)) - std::get<0>(rows.min(0))) == 0) {
    return absl::OkStatus();
  }
  if (SumsAreOneNumber(rows)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the card says logits, but its answers are >= 0 and ", Sums(rows),
        ", as votes "
        "and percentages do: set \"output\" to \"probabilities\" and \"trust_output\" to "
        "true in the card, which takes them as weights in proportion to the "
        "probabilities. If they are logits after all, ",
        kTrust));
  }
  if (Largest(rows) > 1) return absl::OkStatus();
  return CheckForSigmoid(
      question, card, rows,
      absl::StrCat("the card says logits, but its answers stay within 0 and 1 (",
                   absl::StrFormat("%.4g to %.4g", Smallest(rows), Largest(rows)),
                   "), as those of sigmoids do: take the sigmoid out of the model. If they are "
                   "logits after all, ",
                   kTrust));
}

// Of labels, each of which has a probability of its own.
absl::Status CheckLabels(const OutputQuestion& question, const ModelCard& card,
                         const at::Tensor& rows) {
  const bool within =
      Smallest(rows) >= -question.tolerance && Largest(rows) <= 1 + question.tolerance;
  if (card.outputs_probabilities) {
    if (within) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrFormat(
        "the card says probabilities, but its answers are %.4g to %.4g, those of labels are 0 to "
        "1: "
        "set \"output\" to \"logits\" in the card, or put a sigmoid at the end of the model",
        Smallest(rows), Largest(rows)));
  }
  if (card.trust_output || question.untrained || !within) return absl::OkStatus();
  return CheckForSigmoid(
      question, card, rows,
      absl::StrCat("the card says logits, but its answers stay within 0 and 1, as those of "
                   "sigmoids do: set \"output\" to \"probabilities\" in the card, or take the "
                   "sigmoid out of the model. If they are logits after all, ",
                   kTrust));
}

}  // namespace

absl::Status CheckOutputValues(const OutputQuestion& question, const ModelCard& card) {
  const at::Tensor finite = question.rows.isfinite().all(1).nonzero().squeeze(1);
  if (finite.numel() == 0) return absl::OkStatus();
  const at::Tensor rows = question.rows.index_select(0, finite).to(at::kDouble);
  const AnswerKind kind = card.samples.answer.kind;
  if (kind == AnswerKind::kMultilabel) return CheckLabels(question, card, rows);
  if (kind == AnswerKind::kValues) {
    if (!card.outputs_probabilities) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "the card says probabilities of values, which have none: set \"output\" to \"logits\"");
  }
  if (card.outputs_probabilities) {
    return CheckProbabilities(rows, question.tolerance, card.trust_output);
  }
  return card.trust_output ? absl::OkStatus() : CheckLogits(question, card, rows);
}

}  // namespace distillery
