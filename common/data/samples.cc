#include "common/data/samples.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"

namespace distillery {
namespace {

absl::Status CheckSplit(const StoredSamples& samples, absl::string_view split,
                        const std::vector<int64_t>& members) {
  if (members.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(samples.name, ": split ", split, " has no samples"));
  }
  for (const int64_t index : members) {
    if (index < 0 || index >= samples.size()) {
      return absl::DataLossError(absl::StrCat(samples.name, ": split ", split, " names sample ",
                                              index, " of ", samples.size()));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSamples(const StoredSamples& samples) {
  DISTILLERY_RETURN_IF_ERROR(CheckSplit(samples, "train", samples.train));
  DISTILLERY_RETURN_IF_ERROR(CheckSplit(samples, "test", samples.test));
  return CheckContent(samples);
}

absl::Status CheckContent(const StoredSamples& samples) {
  DISTILLERY_RETURN_IF_ERROR(Annotate(CheckClassNames(samples.class_names), samples.name));
  const auto bytes = static_cast<int64_t>(samples.pixels.size());
  if (samples.shape.size() < 1 || bytes != samples.size() * samples.shape.size()) {
    return absl::DataLossError(absl::StrCat(samples.name, ": ", samples.size(), " samples of ",
                                            samples.shape.size(), " bytes have ", bytes,
                                            " bytes of pixels"));
  }
  const auto classes = static_cast<int32_t>(samples.class_names.size());
  for (int64_t i = 0; i < samples.size(); ++i) {
    if (samples.labels[i] < 0 || samples.labels[i] >= classes) {
      return absl::DataLossError(absl::StrCat(samples.name, ": sample ", i, " has the label ",
                                              samples.labels[i], ", classes are 0 to ",
                                              classes - 1));
    }
  }
  return absl::OkStatus();
}

}  // namespace distillery
