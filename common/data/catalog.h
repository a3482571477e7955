// Finds data sets by name: the built-in digits, and folders under a data folder, whatever their
// format: MNIST's IDX files, CIFAR-10, CIFAR-100, NPY files, NPZ archives, CSV, JSONL, plain text,
// tar archives, image and sound files by class.
//
// Threads: safe for all. The first opening of a data set reads its files, without a lock: whoever
// wants the same data set waits, all others go on. Later openings share the samples, which are kept
// as long as the catalog lives. When a data set is read, the log names the files in its folder that
// are in no sample, and classes without training samples.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/data/dataset.h"

namespace distillery {

class DatasetCatalog {
 public:
  using Opened = absl::StatusOr<std::shared_ptr<const Dataset>>;

  // `data_dir` holds one folder per data set (DIR/mnist/train-images-idx3-ubyte[.gz] ...); a folder
  // that itself holds the four files is taken as "mnist". Empty: built-in data only.
  explicit DatasetCatalog(std::string data_dir) : data_dir_(std::move(data_dir)) {}
  // Waits until nothing is being read.
  ~DatasetCatalog();

  // NOT_FOUND for an unknown name or split, with the nearest known one, and for a missing file;
  // INVALID_ARGUMENT for an unsafe reference, files that do not make a data set, or a name that two
  // data sets have: a folder of two formats, a folder named as what is built in; DATA_LOSS for
  // damaged files; RESOURCE_EXHAUSTED for too large ones. Blocks.
  Opened Open(const DatasetReference& reference);

  // The data set if it is open already, else null.
  std::shared_ptr<const Dataset> Find(const DatasetReference& reference);

  // The same as Open, but blocks no longer than it takes to look into the data folder. `done` gets
  // the answer: in this call, or later in a thread of the catalog. There is one such thread for
  // each data set that is being read.
  void OpenLater(const DatasetReference& reference, std::function<void(const Opened&)> done);

 private:
  // Who waits for one data set, in the order of asking.
  struct Wish {
    DatasetReference reference;
    std::function<void(const Opened&)> done;
  };
  using Wishes = std::deque<Wish>;

  // Adds a wish. True if the caller must call Serve with its name, since nobody else does.
  bool Add(Wish wish) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Serves all wishes of a name, until there are none.
  void Serve(const std::string& name);
  // RESOURCE_EXHAUSTED for what the system refuses by an exception, memory or a thread: those who
  // wait for the data set would wait for ever.
  Opened TryToRead(const DatasetReference& reference);
  Opened Read(const DatasetReference& reference);
  absl::StatusOr<std::shared_ptr<const StoredSamples>> Samples(const std::string& name);

  // Datasets cut differently from the same samples, at most so many at once.
  static constexpr size_t kMaxOpen = 64;

  const std::string data_dir_;
  Mutex mutex_;
  ConditionVariable changed_;
  std::map<std::string, std::shared_ptr<const StoredSamples>> samples_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<const Dataset>> open_ ABSL_GUARDED_BY(mutex_);
  // The keys are the names of the data sets that are being read.
  std::map<std::string, Wishes> wishes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
