// Finds data sets by name: the built-in digits, and folders under a data folder, whatever their
// format: MNIST's IDX files, CIFAR-10, CIFAR-100, NPY files, image files by class.
//
// Threads: safe for all. The first Open of a data set reads its files and blocks; later ones share
// the samples. Keeps what it read for its lifetime.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/data/dataset.h"

namespace distillery {

class DatasetCatalog {
 public:
  // `data_dir` holds one folder per data set (DIR/mnist/train-images-idx3-ubyte[.gz] ...); a folder
  // that itself holds the four files is taken as "mnist". Empty: built-in data only.
  explicit DatasetCatalog(std::string data_dir) : data_dir_(std::move(data_dir)) {}

  // NOT_FOUND for an unknown name or split, with the nearest known one, and for a missing file;
  // INVALID_ARGUMENT for an unsafe reference, or files that do not make a data set; DATA_LOSS for
  // damaged files; RESOURCE_EXHAUSTED for too large ones.
  absl::StatusOr<std::shared_ptr<const Dataset>> Open(const DatasetReference& reference);

 private:
  absl::StatusOr<std::shared_ptr<const StoredSamples>> Samples(const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Datasets cut differently from the same samples, at most so many at once.
  static constexpr size_t kMaxOpen = 64;

  const std::string data_dir_;
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<const StoredSamples>> samples_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<const Dataset>> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
