#include "common/data/samples.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"
#include "common/data/record_check.h"

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

// Bytes of records that there are.
int64_t StoredBytes(const StoredSamples& samples) {
  if (samples.in_memory()) return static_cast<int64_t>(samples.records.size());
  int64_t bytes = 0;
  for (const auto& file : samples.files) bytes += file->count() * file->record_bytes();
  return bytes;
}

}  // namespace

absl::Status ReadRecords(const StoredSamples& samples, std::vector<RecordWish>* wishes,
                         uint8_t* output) {
  const int64_t record_bytes = samples.record_bytes();
  if (samples.in_memory()) {
    for (const RecordWish& wish : *wishes) {
      std::memcpy(output + wish.place * record_bytes, samples.Record(wish.index),
                  static_cast<size_t>(record_bytes));
    }
    return absl::OkStatus();
  }
  std::sort(wishes->begin(), wishes->end(),
            [](const RecordWish& a, const RecordWish& b) { return a.index < b.index; });
  const RecordWish* wish = wishes->data();
  const RecordWish* const end = wish + wishes->size();
  int64_t first_index = 0;
  for (const auto& file : samples.files) {
    const RecordWish* const first = wish;
    while (wish != end && wish->index < first_index + file->count()) ++wish;
    DISTILLERY_RETURN_IF_ERROR(file->Read(first, wish - first, first_index, output));
    first_index += file->count();
  }
  return absl::OkStatus();
}

absl::Status ReadRecord(const StoredSamples& samples, int64_t index, uint8_t* output) {
  if (samples.in_memory()) {
    std::memcpy(output, samples.Record(index), static_cast<size_t>(samples.record_bytes()));
    return absl::OkStatus();
  }
  for (const auto& file : samples.files) {
    if (index < file->count()) return file->Read(index, output);
    index -= file->count();
  }
  return absl::InternalError(absl::StrCat(samples.name, " has no such sample"));
}

std::vector<std::string> ClassesWithoutTraining(const StoredSamples& samples) {
  if (!samples.spec.answer.one_class()) return {};
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
  DISTILLERY_RETURN_IF_ERROR(Annotate(
      CheckClassNames(samples.class_names, LeastNames(samples.spec.answer)), samples.name));
  if (samples.size() > kMaxSamples) {
    return absl::ResourceExhaustedError(absl::StrCat(samples.name, " has ", samples.size(),
                                                     " samples, the most are ", kMaxSamples));
  }
  if (const absl::Status spec = CheckSampleSpec(samples.spec); !spec.ok()) {
    return absl::DataLossError(absl::StrCat(samples.name, ": ", std::string(spec.message())));
  }
  const int64_t bytes = StoredBytes(samples);
  if (bytes != samples.size() * samples.record_bytes()) {
    return absl::DataLossError(absl::StrCat(samples.name, ": ", samples.size(), " samples of ",
                                            samples.record_bytes(), " bytes have ", bytes,
                                            " bytes"));
  }
  const auto classes = static_cast<int32_t>(samples.class_names.size());
  // Of pictures any byte will do.
  const bool checked = samples.in_memory() && !samples.spec.is_picture_by_class();
  for (int64_t i = 0; i < samples.size(); ++i) {
    if (checked) {
      const absl::Status sound = CheckRecord(samples.spec, classes, samples.Record(i));
      if (!sound.ok()) return Annotate(sound, absl::StrCat(samples.name, ": sample ", i));
    }
    if (samples.labels[i] < 0 || samples.labels[i] >= classes) {
      return absl::DataLossError(absl::StrCat(samples.name, ": sample ", i, " has the label ",
                                              samples.labels[i], ", classes are 0 to ",
                                              classes - 1));
    }
  }
  return absl::OkStatus();
}

}  // namespace distillery
