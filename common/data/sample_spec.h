// What a sample is made of, and what is asked about it.
//
// A stored sample is a record of bytes: its inputs one after the other, in the order of the spec,
// each row-major and little-endian, and after them what SampleSpec::label_bytes says of its label.
// What streams, hashes, checks and caches samples treats a record as bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/element_type.h"

namespace distillery {

// Sizes of one picture, stored [channels, height, width].
struct ImageShape {
  int64_t channels = 1;
  int64_t height = 0;
  int64_t width = 0;

  int64_t size() const { return channels * height * width; }
  std::vector<int64_t> ToVector() const { return {channels, height, width}; }
  friend bool operator==(const ImageShape& a, const ImageShape& b) {
    return a.channels == b.channels && a.height == b.height && a.width == b.width;
  }
};

// One input of a sample.
struct InputSpec {
  // As the model knows it: "image", "features", "tokens".
  std::string name;
  // kUInt8, kInt32, kInt64, kFloat16 or kFloat32.
  ElementType type = ElementType::kUInt8;
  // At most four sizes, each at least 1; none: one number.
  std::vector<int64_t> shape;
  // Of a picture, kUInt8 [channels, height, width]: the stored value that stands for 1.0, so that
  // pixels become value / pixel_max. 0: numbers are taken as they are.
  int pixel_max = 0;
  // Of tokens, whole numbers: each is 0 to vocabulary - 1. 0: any number.
  int64_t vocabulary = 0;

  int64_t elements() const;
  int64_t bytes() const { return elements() * SpecOf(type).bytes; }
  bool is_picture() const { return pixel_max > 0; }
  // Parts that have a mean and a deviation of their own: of a picture its channels; of floats the
  // first size, such as each of [features], but one if that is more than a table has
  // (kMaxFeatures); of whole numbers none.
  int64_t channels() const;
  // "features float32 [30]"
  std::string ToString() const;
  friend bool operator==(const InputSpec& a, const InputSpec& b);
};

// Columns that a table may have. A longer first size is that of a recording: one channel.
inline constexpr int64_t kMaxFeatures = 4096;
// The most tokens of a vocabulary.
inline constexpr int64_t kMaxVocabulary = int64_t{1} << 22;

// What a model answers for a sample, once for each of its positions.
enum class AnswerKind {
  // Logits [classes] of which one class is right: softmax.
  kClasses,
  // Logits [labels], each of which is right or not by itself: a sigmoid for each.
  kMultilabel,
  // Numbers [n].
  kValues,
};

struct AnswerKindSpec {
  AnswerKind kind;
  // In cards, messages and texts.
  absl::string_view name;
  // Several of the answer's numbers.
  absl::string_view noun;
  // One number of a hard label.
  ElementType label_type;
  // What a position has as many of as the answer has numbers, rather than one.
  bool labels_each;
};

// In the order of the enum.
inline constexpr AnswerKindSpec kAnswerKinds[] = {
    {AnswerKind::kClasses, "classes", "classes", ElementType::kInt32, false},
    {AnswerKind::kMultilabel, "multilabel", "labels", ElementType::kUInt8, true},
    {AnswerKind::kValues, "values", "values", ElementType::kFloat32, true},
};

constexpr const AnswerKindSpec& SpecOf(AnswerKind kind) {
  return kAnswerKinds[static_cast<int>(kind)];
}

// The hard label of a position that has none: it counts neither in the loss nor in a figure.
inline constexpr int32_t kNoLabel = -100;

struct AnswerSpec {
  AnswerKind kind = AnswerKind::kClasses;
  // None: one answer for a sample. [length]: one for each token. [height, width]: one for each
  // pixel.
  std::vector<int64_t> positions;

  // 1 without positions.
  int64_t position_count() const;
  // One class for a sample, as for a data set of pictures by class.
  bool one_class() const { return kind == AnswerKind::kClasses && positions.empty(); }
  friend bool operator==(const AnswerSpec& a, const AnswerSpec& b) {
    return a.kind == b.kind && a.positions == b.positions;
  }
};

// Classes to choose from are two at least; one label, or one value, is enough.
inline size_t LeastNames(const AnswerSpec& answer) {
  return answer.kind == AnswerKind::kClasses ? 2 : 1;
}

struct SampleSpec {
  // At least one, no two of one name.
  std::vector<InputSpec> inputs;
  AnswerSpec answer;

  // Pictures with one class each, as in a data set of image files.
  static SampleSpec Pictures(const ImageShape& shape, int pixel_max);

  // One picture, and nothing else.
  bool is_picture() const { return inputs.size() == 1 && inputs[0].is_picture(); }
  // With one class, as there were first: digests, cards and messages of these are what they were.
  bool is_picture_by_class() const { return is_picture() && answer.one_class(); }
  // REQUIRES: is_picture().
  ImageShape picture_shape() const;
  // All inputs of a sample.
  int64_t input_bytes() const;
  // Of the label in the record: none of one class for a sample, which is kept apart; else a number
  // of the kind's label_type for each position, of kMultilabel and kValues `answers` for each.
  int64_t label_bytes(int64_t answers) const;
  int64_t record_bytes(int64_t answers) const { return input_bytes() + label_bytes(answers); }
  // "image uint8 [1, 8, 8] / 16 -> classes", "tokens int64 [64] below 256 -> classes [64]".
  std::string ToString() const;
  friend bool operator==(const SampleSpec& a, const SampleSpec& b) {
    return a.inputs == b.inputs && a.answer == b.answer;
  }
};

// INVALID_ARGUMENT, naming the input, for a type, a shape or a name that cannot be, or a sample of
// more than kMaxSampleBytes.
absl::Status CheckSampleSpec(const SampleSpec& spec);
inline constexpr int64_t kMaxSampleBytes = int64_t{1} << 28;

}  // namespace distillery
