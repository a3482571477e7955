// The arrays of a folder of NPY files: train_inputs.npy, train_labels.npy, test_inputs.npy ...
#pragma once

#include <string>
#include <vector>

#include "common/data/array_source.h"

namespace distillery {

class NpySource : public ArraySource {
 public:
  explicit NpySource(std::string folder) : folder_(std::move(folder)) {}

  // Where there are images they are the only input: what else lies there is not read.
  absl::StatusOr<std::vector<std::string>> Names(const std::string& split) const override;
  std::string Place(const std::string& split, const std::string& name) const override;
  absl::StatusOr<std::unique_ptr<ArrayInput>> Open(
      const std::string& split, const std::string& name,
      const std::vector<std::string>& wanted_types) const override;

 private:
  const std::string folder_;
};

}  // namespace distillery
