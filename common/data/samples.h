// Stored samples of a data set: records of bytes, labels, and where its splits lie.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/input_file.h"
#include "common/data/index_list.h"
#include "common/data/label_list.h"
#include "common/data/left_out.h"
#include "common/data/record_source.h"
#include "common/data/sample_spec.h"

namespace distillery {

// The files that samples were made of.
struct SampleSources {
  std::string folder;
  // All that pixels and labels depend on, as they were when opened.
  std::vector<FileStamp> files;
};

// All samples of one data set in stored order. Immutable once made, so safe for all threads.
struct StoredSamples {
  std::string name;
  // A sample's record is described there.
  SampleSpec spec;
  // Of what an answer's numbers are: classes, labels, or values.
  std::vector<std::string> class_names;
  // The records, if they are held in memory: size() * record_bytes() bytes.
  std::vector<uint8_t> records;
  // Else the files that hold them, of the samples one after the other.
  std::vector<std::shared_ptr<const RecordSource>> files;
  // Class of each sample, 0 to class_names.size() - 1; 0 if the label is in the record.
  LabelList labels;
  // Stored indexes of the two given splits.
  IndexList train;
  IndexList test;
  // Where samples with `files` lie, if those are files that stay.
  SampleSources sources;
  // What lies in the folder and is in no sample.
  std::vector<LeftOut> left_out;

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  int64_t record_bytes() const {
    return spec.record_bytes(static_cast<int64_t>(class_names.size()));
  }
  // Of samples that are pictures. REQUIRES: spec.is_picture().
  ImageShape shape() const { return spec.picture_shape(); }
  int pixel_max() const { return spec.inputs[0].pixel_max; }
  bool in_memory() const { return files.empty(); }
  // REQUIRES: in_memory().
  const uint8_t* Record(int64_t index) const { return &records[index * record_bytes()]; }
};

// The most bytes of records that may be held in memory: of files that lie compressed on disk.
inline constexpr int64_t kMaxStoredBytes = int64_t{4} << 30;
// The most samples of a data set: their numbers travel as 32 bits with a sign.
inline constexpr int64_t kMaxSamples = INT32_MAX;

// Reads records to output [.., record_bytes()], each to its place; in the order of the files,
// whatever that of the wishes, which it sorts. Errors as RecordSource::Read.
absl::Status ReadRecords(const StoredSamples& samples, std::vector<RecordWish>* wishes,
                         uint8_t* output);
// The same for one.
absl::Status ReadRecord(const StoredSamples& samples, int64_t index, uint8_t* output);

// The names of classes of which there is no training sample: a model's outputs for them never
// learn. None where labels are in the records.
std::vector<std::string> ClassesWithoutTraining(const StoredSamples& samples);

// The part of CheckSamples that is not about splits: INVALID_ARGUMENT for class names, DATA_LOSS
// for labels, records and what CheckSampleSpec refuses, RESOURCE_EXHAUSTED for more than
// kMaxSamples.
absl::Status CheckContent(const StoredSamples& samples);

// Whether what a format gave is what StoredSamples promises. INVALID_ARGUMENT: an empty split, or
// class names as CheckClassNames; DATA_LOSS: a label that is no class, or records, labels and
// splits that do not fit together; RESOURCE_EXHAUSTED: more than kMaxSamples.
absl::Status CheckSamples(const StoredSamples& samples);

}  // namespace distillery
