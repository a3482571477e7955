#include "common/model/plan_checks.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace distillery {
namespace {

constexpr char kMaskInput[] = "mask";

absl::Status DoesNotFit(const std::string& name, const std::string& takes, const SampleSpec& spec) {
  return absl::InvalidArgumentError(
      absl::StrCat(name, " takes ", takes, ", the data has ", spec.ToString()));
}

bool HoldsFloats(const InputSpec& input) {
  return input.type == ElementType::kFloat32 || input.type == ElementType::kFloat16;
}

bool IsMask(const InputSpec& input) { return input.name == kMaskInput && input.vocabulary == 0; }

}  // namespace

std::vector<std::string> InputValues(const SampleSpec& spec) {
  if (spec.inputs.size() == 1) return {"x"};
  std::vector<std::string> values;
  for (size_t i = 0; i < spec.inputs.size(); ++i) values.push_back(absl::StrCat("input", i));
  return values;
}

std::string DescribeAnswers(const SampleSpec& spec, int64_t answers) {
  switch (spec.answer.kind) {
    case AnswerKind::kClasses:
      return absl::StrCat(answers, " classes");
    case AnswerKind::kMultilabel:
      return absl::StrCat(answers, " labels");
    case AnswerKind::kValues:
      return absl::StrCat(answers, " values");
  }
  return "";
}

absl::StatusOr<std::vector<int64_t>> ParseSizes(const std::string& name, const std::string& example,
                                                const std::vector<SizeRule>& rules) {
  constexpr size_t kMaxDigits = 9;
  const std::vector<absl::string_view> parts =
      absl::StrSplit(absl::string_view(name).substr(name.find(':') + 1), '-');
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < rules.size(); ++i) {
    const SizeRule& rule = rules[i];
    if (i >= parts.size() && rule.fallback > 0) {
      sizes.push_back(rule.fallback);
      continue;
    }
    const absl::string_view text = i < parts.size() ? parts[i] : "";
    const bool digits = !text.empty() && text.size() <= kMaxDigits && text[0] != '0' &&
                        std::all_of(text.begin(), text.end(), [](char c) {
                          return absl::ascii_isdigit(static_cast<unsigned char>(c));
                        });
    int64_t size = 0;
    if (!digits || !absl::SimpleAtoi(text, &size) || size < rule.least || size > rule.most) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": ", rule.name, " must be ", rule.least,
                                                     " to ", rule.most, ", as in ", example));
    }
    sizes.push_back(size);
  }
  if (parts.size() > rules.size()) {
    return absl::InvalidArgumentError(absl::StrCat(name, " has more than ", rules.size(),
                                                   rules.size() == 1 ? " number" : " numbers",
                                                   ", write it as ", example));
  }
  return sizes;
}

absl::Status CheckOneAnswer(const std::string& name, const SampleSpec& spec) {
  if (spec.answer.positions.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " gives one answer for a sample, the data ",
                                                 "has one at each position: ", spec.ToString()));
}

absl::StatusOr<ImageShape> ImageInput(const std::string& name, const SampleSpec& spec) {
  const bool image = spec.inputs.size() == 1 && spec.inputs[0].shape.size() == 3 &&
                     (spec.inputs[0].is_picture() || HoldsFloats(spec.inputs[0]));
  if (!image) return DoesNotFit(name, "pictures or float numbers [channels, height, width]", spec);
  const std::vector<int64_t>& sizes = spec.inputs[0].shape;
  return ImageShape{sizes[0], sizes[1], sizes[2]};
}

absl::StatusOr<SequenceInput> SequenceInputOf(const std::string& name, const SampleSpec& spec,
                                              bool numbers) {
  const std::vector<std::string> values = InputValues(spec);
  SequenceInput found;
  bool fits = true;
  for (size_t i = 0; i < spec.inputs.size(); ++i) {
    const InputSpec& input = spec.inputs[i];
    if (IsMask(input) && spec.inputs.size() > 1) {
      found.mask = values[i];
      continue;
    }
    const bool tokens = input.vocabulary > 0 && input.shape.size() == 1;
    const bool line =
        numbers && HoldsFloats(input) && (input.shape.size() == 1 || input.shape.size() == 2);
    fits = fits && found.input == nullptr && (tokens || line);
    found.input = &input;
    found.value = values[i];
  }
  if (fits && found.input != nullptr) return found;
  return DoesNotFit(name,
                    numbers ? "tokens [length] with a vocabulary, or float numbers [samples] or "
                              "[channels, length], and at most a mask [length] beside them"
                            : "tokens [length] with a vocabulary, and at most a mask [length] "
                              "beside them",
                    spec);
}

absl::StatusOr<SoundInput> SoundInputOf(const std::string& name, const SampleSpec& spec) {
  const std::vector<int64_t>& shape = spec.inputs[0].shape;
  const bool line = shape.size() == 1 || shape.size() == 2;
  if (spec.inputs.size() != 1 || !HoldsFloats(spec.inputs[0]) || !line) {
    return DoesNotFit(name, "float numbers [samples] or [channels, samples]", spec);
  }
  if (shape.size() == 1) return SoundInput{1, shape[0], true};
  return SoundInput{shape[0], shape[1], false};
}

absl::Status CheckSequence(const std::string& name, const SampleSpec& spec, int64_t length) {
  const std::vector<int64_t> line{length};
  for (const InputSpec& input : spec.inputs) {
    if (spec.inputs.size() > 1 && IsMask(input) && input.shape != line) {
      return absl::InvalidArgumentError(absl::StrCat(name, " needs a mask [", length,
                                                     "], as long as what it masks, the data has [",
                                                     absl::StrJoin(input.shape, ", "), "]"));
    }
  }
  if (spec.answer.positions.empty() || spec.answer.positions == line) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " gives one answer, or one at each of ",
                                                 length, " positions, the data has answers [",
                                                 absl::StrJoin(spec.answer.positions, ", "), "]"));
}

}  // namespace distillery
