// The binary versions of CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html):
// records of one label byte (CIFAR-100: a coarse and a fine one) and 3,072 pixels, [3, 32, 32].
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

// How the records of one of the two look.
struct CifarLayout {
  const char* name;
  // Bytes before the pixels; the last one is the label.
  int64_t label_bytes;
  int64_t class_count;
  // In the pickles of the version for Python: where the labels are, and the names of the classes.
  const char* labels_key;
  const char* names_key;
};
inline constexpr CifarLayout kCifar10 = {"CIFAR-10", 1, 10, "labels", "label_names"};
inline constexpr CifarLayout kCifar100 = {"CIFAR-100", 2, 100, "fine_labels", "fine_label_names"};

// How many records a file of `file_bytes` holds. DATA_LOSS, naming `name`, for a size that is no
// multiple of a record's or is 0.
absl::StatusOr<int64_t> CountCifarRecords(int64_t file_bytes, const CifarLayout& layout,
                                          absl::string_view name);

// Appends the labels of whole records, of which the first is number `first` of its file. DATA_LOSS,
// naming `name` and the record, for a label out of range.
absl::Status AppendCifarLabels(absl::string_view records, int64_t first, const CifarLayout& layout,
                               absl::string_view name, LabelList* labels);

// Whether the folder holds data_batch_1.bin; whether it holds train.bin.
bool HoldsCifar10(const std::string& folder);
bool HoldsCifar100(const std::string& folder);

// Reads data_batch_1.bin to data_batch_5.bin and test_batch.bin, and the names of the classes from
// batches.meta.txt if it is there (else they are numbers). Images are read on demand. NOT_FOUND
// names the missing file, DATA_LOSS the damaged one; INVALID_ARGUMENT if there are not 10 names.
absl::StatusOr<StoredSamples> ReadCifar10Folder(const std::string& name, const std::string& folder);

// The same with train.bin, test.bin, and the 100 names of fine_label_names.txt.
absl::StatusOr<StoredSamples> ReadCifar100Folder(const std::string& name,
                                                 const std::string& folder);

// The version for Python, as torchvision unpacks it: whether the folder, or cifar-10-batches-py in
// it, holds the file data_batch_1; whether the folder, or cifar-100-python in it, holds the file
// train.
bool HoldsCifar10Pickles(const std::string& folder);
bool HoldsCifar100Pickles(const std::string& folder);

// The same samples from these pickles (pickle.h), the names from batches.meta or meta. Errors as
// above and as Pickle::Parse; DATA_LOSS if arrays or labels are not those of the data set.
absl::StatusOr<StoredSamples> ReadCifar10Pickles(const std::string& name,
                                                 const std::string& folder);
absl::StatusOr<StoredSamples> ReadCifar100Pickles(const std::string& name,
                                                  const std::string& folder);

// What one pickle has: where its pixels lie in the bytes, and its labels. For the two above.
struct CifarPickle {
  int64_t offset = 0;
  std::vector<int32_t> labels;
};
absl::StatusOr<CifarPickle> ParseCifarPickle(absl::string_view bytes, const CifarLayout& layout,
                                             absl::string_view name);

}  // namespace distillery
