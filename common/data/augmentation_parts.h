// The parts that an augmentation is made of: their names, their numbers and what they are for.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/philox.h"
#include "common/data/sample_spec.h"

namespace distillery {

// One step of an augmentation; what each does stands in docs/augmentation.md.
struct AugmentationPart {
  enum class Kind {
    kJitter,
    kCrop,
    kFlip,
    kResizedCrop,
    kAffine,
    kElastic,
    kColor,
    kErase,
    kShift,
    kGain,
    kNoise,
    kMask
  };
  Kind kind;
  // As many as the part takes, in their order; a number that was left out has its default.
  std::array<int, 4> numbers{};
};

// The part's name, which is also that of its random stream: "jitter".
absl::string_view NameOf(const AugmentationPart& part);

// "jitter:2"; numbers at the end that have their default are left out.
std::string ToString(const AugmentationPart& part);

// INVALID_ARGUMENT, naming the part and what it may be.
absl::StatusOr<AugmentationPart> ParseAugmentationPart(absl::string_view text);

// Whether the part changes an input of this kind.
bool Suits(const AugmentationPart& part, const InputSpec& input);

// Uniform in -most..most, as most parts draw. REQUIRES: most >= 0.
int64_t DrawEither(int64_t most, RandomStream* random);

// "" if samples of this spec can have the part; else why not: "is for pictures".
std::string WhyNot(const AugmentationPart& part, const SampleSpec& spec);

}  // namespace distillery
