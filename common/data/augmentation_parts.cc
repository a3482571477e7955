#include "common/data/augmentation_parts.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/names.h"

namespace distillery {
namespace {

using Kind = AugmentationPart::Kind;

enum class Target { kPictures, kSound, kFloats, kTokens };

struct TargetSpec {
  Target target;
  const char* noun;
};
constexpr TargetSpec kTargets[] = {
    {Target::kPictures, "pictures"},
    {Target::kSound, "sound (float32 inputs named audio)"},
    {Target::kFloats, "float32 inputs"},
    {Target::kTokens, "tokens (whole numbers with a vocabulary)"},
};

struct KnownNumber {
  const char* name;
  const char* unit;
  int least;
  int most;
  int standard;
};
struct KnownPart {
  Kind kind;
  const char* name;
  Target target;
  // Whether labels of positions would have to move, or to vanish, with what they belong to.
  bool moves;
  // How many numbers must be written, and how many there are.
  size_t required;
  size_t count;
  KnownNumber numbers[4];
};
// In the order of the enum.
constexpr KnownPart kKnownParts[] = {
    {Kind::kJitter, "jitter", Target::kPictures, true, 1, 1, {{"N", "pixels", 1, 8, 0}}},
    {Kind::kCrop, "crop", Target::kPictures, true, 1, 1, {{"N", "pixels", 1, 32, 0}}},
    {Kind::kFlip, "flip", Target::kPictures, true, 0, 0, {}},
    {Kind::kResizedCrop,
     "resized_crop",
     Target::kPictures,
     true,
     0,
     1,
     {{"MINAREA", "percent of the area", 1, 100, 35}}},
    {Kind::kAffine,
     "affine",
     Target::kPictures,
     true,
     1,
     4,
     {{"DEG", "degrees", 0, 180, 0},
      {"SHIFT", "pixels", 0, 32, 0},
      {"SCALE", "percent", 0, 90, 0},
      {"SHEAR", "degrees", 0, 45, 0}}},
    {Kind::kElastic, "elastic", Target::kPictures, true, 1, 1, {{"ALPHA", "pixels", 0, 16, 0}}},
    {Kind::kColor,
     "color",
     Target::kPictures,
     false,
     1,
     4,
     {{"B", "percent of brightness", 0, 100, 0},
      {"C", "percent of contrast", 0, 100, 0},
      {"S", "percent of saturation", 0, 100, 0},
      {"H", "degrees of hue", 0, 180, 0}}},
    {Kind::kErase, "erase", Target::kPictures, true, 0, 1, {{"P", "percent of views", 0, 100, 50}}},
    {Kind::kShift, "shift", Target::kSound, true, 1, 1, {{"N", "samples", 0, 1000000, 0}}},
    {Kind::kGain, "gain", Target::kSound, false, 1, 1, {{"DB", "decibels", 0, 40, 0}}},
    {Kind::kNoise,
     "noise",
     Target::kFloats,
     false,
     1,
     1,
     {{"PERCENT", "hundredths of 1.0", 0, 100, 0}}},
    {Kind::kMask,
     "mask",
     Target::kTokens,
     false,
     1,
     1,
     {{"PERCENT", "percent of tokens", 0, 90, 0}}},
};

const KnownPart& Known(const AugmentationPart& part) {
  return kKnownParts[static_cast<int>(part.kind)];
}

bool IsFor(Target target, const InputSpec& input) {
  switch (target) {
    case Target::kPictures:
      return input.is_picture();
    case Target::kSound:
      return input.type == ElementType::kFloat32 && input.name == "audio" && !input.shape.empty();
    case Target::kFloats:
      return input.type == ElementType::kFloat32;
    case Target::kTokens:
      return input.vocabulary > 0 &&
             (input.type == ElementType::kInt64 || input.type == ElementType::kInt32);
  }
  return false;
}

template <typename... Text>
absl::Status WrongPart(absl::string_view part, const Text&... text) {
  return absl::InvalidArgumentError(
      absl::StrCat("augmentation \"", Printable(part), "\" ", text...));
}

// "affine:DEG[,SHIFT] with DEG degrees, 0 to 180; SHIFT pixels, 0 to 32"
std::string Form(const KnownPart& known) {
  std::string form = known.name;
  std::string ranges;
  for (size_t i = 0; i < known.count; ++i) {
    const KnownNumber& number = known.numbers[i];
    absl::StrAppend(&form, i < known.required ? "" : "[", i == 0 ? ":" : ",", number.name);
    absl::StrAppend(&ranges, i == 0 ? " with " : "; ", number.name, " ", number.unit, ", ",
                    number.least, " to ", number.most);
  }
  return absl::StrCat(form, std::string(known.count - known.required, ']'), ranges);
}

// Whether `text` is a number as `known` says; it goes to `number`.
bool ReadNumberOfPart(absl::string_view text, const KnownNumber& known, int* number) {
  return std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(text, number) && *number >= known.least && *number <= known.most;
}

}  // namespace

absl::string_view NameOf(const AugmentationPart& part) { return Known(part).name; }

std::string ToString(const AugmentationPart& part) {
  const KnownPart& known = Known(part);
  size_t count = known.count;
  while (count > known.required && part.numbers[count - 1] == known.numbers[count - 1].standard) {
    --count;
  }
  std::string text = known.name;
  for (size_t i = 0; i < count; ++i) absl::StrAppend(&text, i == 0 ? ":" : ",", part.numbers[i]);
  return text;
}

absl::StatusOr<AugmentationPart> ParseAugmentationPart(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> words =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  const absl::string_view name = words.first;
  if (name == "none") return WrongPart(text, "stands alone, without a number or other parts");
  const auto* const known = std::find_if(std::begin(kKnownParts), std::end(kKnownParts),
                                         [&](const KnownPart& k) { return name == k.name; });
  if (known == std::end(kKnownParts)) {
    std::vector<std::string> names;
    names.reserve(std::size(kKnownParts) + 1);  // g++ 14 warns of the growth
    names.emplace_back("none");
    for (const KnownPart& k : kKnownParts) names.emplace_back(k.name);
    return absl::InvalidArgumentError(UnknownName("augmentation", name, names));
  }
  AugmentationPart part{known->kind, {}};
  for (size_t i = 0; i < known->count; ++i) part.numbers[i] = known->numbers[i].standard;
  if (name == text && known->required == 0) return part;
  if (known->count == 0) return WrongPart(text, "takes no number: write ", name);
  const std::vector<absl::string_view> numbers =
      absl::StrSplit(words.second, absl::MaxSplits(',', 4));
  bool right = numbers.size() >= known->required && numbers.size() <= known->count;
  for (size_t i = 0; right && i < numbers.size(); ++i) {
    right = ReadNumberOfPart(numbers[i], known->numbers[i], &part.numbers[i]);
  }
  if (!right) return WrongPart(text, "must be ", Form(*known));
  return part;
}

bool Suits(const AugmentationPart& part, const InputSpec& input) {
  return IsFor(Known(part).target, input);
}

int64_t DrawEither(int64_t most, RandomStream* random) {
  return static_cast<int64_t>(random->Below(2 * static_cast<uint64_t>(most) + 1)) - most;
}

std::string WhyNot(const AugmentationPart& part, const SampleSpec& spec) {
  const KnownPart& known = Known(part);
  const bool any = std::any_of(spec.inputs.begin(), spec.inputs.end(),
                               [&](const InputSpec& input) { return Suits(part, input); });
  if (!any) return absl::StrCat("is for ", kTargets[static_cast<int>(known.target)].noun);
  if (!known.moves || spec.answer.positions.empty()) return "";
  return known.target == Target::kPictures ? "moves pictures, but not the labels of their pixels"
                                           : "moves sound, but not the labels of its positions";
}

}  // namespace distillery
