#include "cli/models/sample.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/data/catalog.h"
#include "common/data/numbers.h"
#include "common/data/picture_sizes.h"
#include "common/data/text_folder.h"

namespace distillery {
namespace {

InputNumbers NumbersFor(const InputSpec& input) {
  const auto count = static_cast<size_t>(input.elements());
  switch (ModelType(input)) {
    case ElementType::kFloat32:
      return std::vector<float>(count);
    case ElementType::kInt64:
      return std::vector<int64_t>(count);
    default:
      return std::vector<uint8_t>(count);
  }
}

// Of a table of CSV; of others, and where the file cannot be read again, none.
std::vector<std::string> FeatureNames(const Dataset& dataset, const std::string& data_dir) {
  const std::string folder = absl::StrCat(data_dir, "/", dataset.reference().name);
  const std::vector<InputSpec>& inputs = dataset.spec().inputs;
  if (data_dir.empty() || inputs.size() != 1 || inputs[0].name != "features" || !HoldsCsv(folder)) {
    return {};
  }
  absl::StatusOr<TableRows> rows = ReadCsvRows(folder, "", "");
  if (!rows.ok() || static_cast<int64_t>(rows->feature_names.size()) != inputs[0].elements()) {
    return {};
  }
  return std::move(rows->feature_names);
}

absl::StatusOr<Sample> ReadOne(const Dataset& dataset, int64_t index,
                               const std::vector<InputSpec>& taken) {
  const SampleSpec spec = InSizesOf(taken, dataset.spec());
  Sample sample;
  sample.name = absl::StrCat(dataset.reference().name, "/", dataset.reference().split, " ", index);
  sample.spec = spec;
  sample.class_names = dataset.class_names();
  SampleNumbers numbers;
  for (const InputSpec& input : spec.inputs) sample.inputs.push_back(NumbersFor(input));
  for (InputNumbers& input : sample.inputs) {
    numbers.inputs.push_back(
        std::visit([](auto& values) { return static_cast<void*>(values.data()); }, input));
  }
  const auto count = static_cast<size_t>(LabelCount(spec.answer, dataset.class_count()));
  if (LabelType(spec.answer) == ElementType::kInt64) {
    sample.labels.resize(count);
    numbers.labels = sample.labels.data();
  } else {
    sample.label_numbers.resize(count);
    numbers.labels = sample.label_numbers.data();
  }
  DISTILLERY_RETURN_IF_ERROR(LoadNumbers(dataset, {index}, View{}, spec.inputs, numbers));
  return sample;
}

}  // namespace

absl::StatusOr<Sample> ReadDatasetSample(const std::string& dataset, const std::string& split,
                                         const std::string& data_dir, int64_t index,
                                         const std::vector<InputSpec>& taken) {
  DISTILLERY_ASSIGN_OR_RETURN(std::vector<Sample> samples,
                              ReadDatasetSamples(dataset, split, data_dir, {index}, taken));
  return std::move(samples.front());
}

absl::StatusOr<std::vector<Sample>> ReadDatasetSamples(const std::string& dataset,
                                                       const std::string& split,
                                                       const std::string& data_dir,
                                                       const std::vector<int64_t>& indexes,
                                                       const std::vector<InputSpec>& taken) {
  constexpr int64_t kShardSize = 1000;
  DatasetCatalog catalog(data_dir);
  DISTILLERY_ASSIGN_OR_RETURN(const auto data, catalog.Open({dataset, split, kShardSize}));
  return ReadSamplesOf(*data, data_dir, indexes, taken);
}

absl::StatusOr<std::vector<Sample>> ReadSamplesOf(const Dataset& dataset,
                                                  const std::string& data_dir,
                                                  const std::vector<int64_t>& indexes,
                                                  const std::vector<InputSpec>& taken) {
  const std::vector<std::string> feature_names = FeatureNames(dataset, data_dir);
  std::vector<Sample> samples;
  for (const int64_t index : indexes) {
    if (index < 0 || index >= dataset.size()) {
      return absl::NotFoundError(absl::StrCat(dataset.reference().name, "/",
                                              dataset.reference().split, " has no sample ", index,
                                              "; indexes are 0 to ", dataset.size() - 1));
    }
    DISTILLERY_ASSIGN_OR_RETURN(Sample sample, ReadOne(dataset, index, taken));
    sample.feature_names = feature_names;
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace distillery
