#include "common/data/samples.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"

namespace distillery {
namespace {

absl::Status CheckSplit(const StoredSamples& samples, absl::string_view split,
                        const IndexList& members) {
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

// Bytes of pixels that there are.
int64_t PixelBytes(const StoredSamples& samples) {
  if (samples.in_memory()) return static_cast<int64_t>(samples.pixels.size());
  int64_t bytes = 0;
  for (const auto& file : samples.images) bytes += file->count() * file->image_bytes();
  return bytes;
}

}  // namespace

absl::Status ReadImages(const StoredSamples& samples, std::vector<ImageWish>* wishes,
                        uint8_t* output) {
  const int64_t image_bytes = samples.shape.size();
  if (samples.in_memory()) {
    for (const ImageWish& wish : *wishes) {
      std::memcpy(output + wish.place * image_bytes, samples.Pixels(wish.index),
                  static_cast<size_t>(image_bytes));
    }
    return absl::OkStatus();
  }
  std::sort(wishes->begin(), wishes->end(),
            [](const ImageWish& a, const ImageWish& b) { return a.index < b.index; });
  const ImageWish* wish = wishes->data();
  const ImageWish* const end = wish + wishes->size();
  int64_t first_index = 0;
  for (const auto& file : samples.images) {
    const ImageWish* const first = wish;
    while (wish != end && wish->index < first_index + file->count()) ++wish;
    DISTILLERY_RETURN_IF_ERROR(file->Read(first, wish - first, first_index, output));
    first_index += file->count();
  }
  return absl::OkStatus();
}

absl::Status ReadImage(const StoredSamples& samples, int64_t index, uint8_t* output) {
  if (samples.in_memory()) {
    std::memcpy(output, samples.Pixels(index), static_cast<size_t>(samples.shape.size()));
    return absl::OkStatus();
  }
  for (const auto& file : samples.images) {
    if (index < file->count()) return file->Read(index, output);
    index -= file->count();
  }
  return absl::InternalError(absl::StrCat(samples.name, " has no such sample"));
}

std::vector<std::string> ClassesWithoutTraining(const StoredSamples& samples) {
  std::vector<bool> seen(samples.class_names.size());
  for (const int64_t index : samples.train) seen[samples.labels[index]] = true;
  std::vector<std::string> names;
  for (size_t i = 0; i < seen.size(); ++i) {
    if (!seen[i]) names.push_back(samples.class_names[i]);
  }
  return names;
}

absl::Status CheckSamples(const StoredSamples& samples) {
  DISTILLERY_RETURN_IF_ERROR(CheckSplit(samples, "train", samples.train));
  DISTILLERY_RETURN_IF_ERROR(CheckSplit(samples, "test", samples.test));
  return CheckContent(samples);
}

absl::Status CheckContent(const StoredSamples& samples) {
  DISTILLERY_RETURN_IF_ERROR(Annotate(CheckClassNames(samples.class_names), samples.name));
  if (samples.size() > kMaxSamples) {
    return absl::ResourceExhaustedError(absl::StrCat(samples.name, " has ", samples.size(),
                                                     " samples, the most are ", kMaxSamples));
  }
  const int64_t bytes = PixelBytes(samples);
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
