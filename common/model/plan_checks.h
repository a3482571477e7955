// What plans of architectures ask of their names and of the data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/sample_spec.h"

namespace distillery {

// What layers call the inputs of such samples, in order: "x" for the only one, else "input0",
// "input1" ...
std::vector<std::string> InputValues(const SampleSpec& spec);

// "10 classes", "3 labels" or "2 values": what a position is answered with.
std::string DescribeAnswers(const SampleSpec& spec, int64_t answers);

// A number of a name.
struct SizeRule {
  absl::string_view name;
  int64_t least = 1;
  int64_t most = 0;
  // For a name that leaves it out; 0: none may.
  int64_t fallback = 0;
};

// The numbers behind the colon of a name such as "gru:64-2", one for each rule. INVALID_ARGUMENT,
// with the example, for another count of them, or one that its rule forbids.
absl::StatusOr<std::vector<int64_t>> ParseSizes(const std::string& name, const std::string& example,
                                                const std::vector<SizeRule>& rules);

// INVALID_ARGUMENT if the data ask for an answer at each of several positions.
absl::Status CheckOneAnswer(const std::string& name, const SampleSpec& spec);

// The sizes of the only input of samples that are pictures, or numbers [channels, height, width].
// INVALID_ARGUMENT for any others.
absl::StatusOr<ImageShape> ImageInput(const std::string& name, const SampleSpec& spec);

// One input that goes along a line of positions, and perhaps an input "mask" of its length that is
// 0 where a position does not count.
struct SequenceInput {
  const InputSpec* input = nullptr;
  // Values of layers; `mask` is "" if there is none.
  std::string value;
  std::string mask;

  bool is_tokens() const { return input->vocabulary > 0; }
};

// INVALID_ARGUMENT unless there is one such input beside the mask: tokens [length] with a
// vocabulary, or, if `numbers`, float numbers [samples] or of two sizes.
absl::StatusOr<SequenceInput> SequenceInputOf(const std::string& name, const SampleSpec& spec,
                                              bool numbers);

// Sound: one or several channels of samples.
struct SoundInput {
  int64_t channels = 1;
  int64_t samples = 0;
  // [samples], without a size for its one channel.
  bool flat = false;
};

// The only input of samples that are float numbers [samples] or [channels, samples].
// INVALID_ARGUMENT for any others.
absl::StatusOr<SoundInput> SoundInputOf(const std::string& name, const SampleSpec& spec);

// INVALID_ARGUMENT unless the mask, if there is one, is [length], and the answer is one, or one at
// each of `length` positions.
absl::Status CheckSequence(const std::string& name, const SampleSpec& spec, int64_t length);

}  // namespace distillery
