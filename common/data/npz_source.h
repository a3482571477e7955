// The arrays of two archives of numpy.savez or numpy.savez_compressed: train.npz and test.npz.
#pragma once

#include <string>
#include <vector>

#include "common/base/archive.h"
#include "common/data/array_source.h"

namespace distillery {

// Not thread-safe: what it opened must not be read by two threads, nor outlive it.
class NpzSource : public ArraySource {
 public:
  NpzSource(Archive train, Archive test) : train_(std::move(train)), test_(std::move(test)) {}

  // INVALID_ARGUMENT for entries that are no arrays, and two of one name.
  absl::StatusOr<std::vector<std::string>> Names(const std::string& split) const override;
  std::string Place(const std::string& split, const std::string& name) const override;
  absl::StatusOr<std::unique_ptr<ArrayInput>> Open(
      const std::string& split, const std::string& name,
      const std::vector<std::string>& wanted_types) const override;

 private:
  const Archive& Of(const std::string& split) const { return split == "test" ? test_ : train_; }

  const Archive train_;
  const Archive test_;
};

}  // namespace distillery
