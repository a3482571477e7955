#include "student_worker/rpc/dataset_messages.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"
#include "common/rpc/sample_conversion.h"
#include "common/rpc/transport.h"

namespace distillery {
namespace {

// What a message takes besides one sample and its label.
constexpr int64_t kMessageOverhead = 8192;

absl::Status CheckSizes(const DatasetReference& reference, const DatasetDescription& description,
                        int64_t row_count, int64_t max_bytes) {
  const int64_t record_bytes = description.record_bytes();
  const bool pictures = description.spec.is_picture_by_class();
  if (record_bytes > kMaxMessageBytes - kMessageOverhead) {
    return absl::ResourceExhaustedError(
        absl::StrCat(reference.ToString(), ": ", pictures ? "an image" : "a sample", " of ",
                     record_bytes, " bytes does not fit into a message of ", kMaxMessageBytes,
                     ": give this worker the files (--data-dir)"));
  }
  if (row_count > max_bytes / record_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        reference.ToString(), ": ", row_count, pictures ? " images of " : " samples of ",
        record_bytes, " bytes are more than the ", max_bytes,
        " bytes that a worker takes: ", "give it the files (--data-dir)"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> StoredIndexes(const v1::DescribeDatasetResponse& response) {
  const v1::Tensor& tensor = response.stored_indexes();
  const std::string& data = tensor.data();
  if (tensor.data_type() != v1::DATA_TYPE_INT32 || tensor.shape_size() != 1 ||
      tensor.shape(0) != response.sample_count() ||
      static_cast<int64_t>(data.size() / sizeof(int32_t)) != response.sample_count() ||
      data.size() % sizeof(int32_t) != 0) {
    return absl::DataLossError(absl::StrCat(
        "stored_indexes of ", data.size(), " bytes are not INT32 [", response.sample_count(), "]"));
  }
  std::vector<int32_t> indexes(data.size() / sizeof(int32_t));
  std::memcpy(indexes.data(), data.data(), data.size());
  return std::vector<int64_t>(indexes.begin(), indexes.end());
}

// DATA_LOSS for what describes no sample.
absl::StatusOr<SampleSpec> ReadSpec(const v1::DescribeDatasetResponse& response) {
  constexpr int kLargestByte = 255;
  if (response.inputs_size() > 0) {
    absl::StatusOr<SampleSpec> spec = ReadSampleSpec(response.inputs(), response.answer());
    if (spec.ok()) return spec;
    return absl::DataLossError(spec.status().message());
  }
  const std::vector<int64_t> shape(response.input_shape().begin(), response.input_shape().end());
  if (const auto size = CheckedElementCount(shape, kMaxStoredBytes);
      shape.size() != 3 || !size.ok()) {
    return absl::DataLossError(
        absl::StrCat("input_shape is no image's: ",
                     size.ok() ? "three sizes are needed" : std::string(size.status().message())));
  }
  if (response.pixel_max() < 1 || response.pixel_max() > kLargestByte) {
    return absl::DataLossError(absl::StrCat("pixel_max is ", response.pixel_max()));
  }
  return SampleSpec::Pictures({shape[0], shape[1], shape[2]}, response.pixel_max());
}

absl::StatusOr<DatasetDescription> Read(const DatasetReference& reference,
                                        const v1::DescribeDatasetResponse& response,
                                        int64_t max_bytes) {
  DatasetDescription description;
  description.digest = response.dataset_digest();
  description.stored_size = response.stored_sample_count();
  description.class_names.assign(response.class_names().begin(), response.class_names().end());
  DISTILLERY_ASSIGN_OR_RETURN(description.spec, ReadSpec(response));
  if (response.sample_count() < 1) {
    return absl::DataLossError(absl::StrCat("sample_count is ", response.sample_count()));
  }
  if (const absl::Status names =
          CheckClassNames(description.class_names, LeastNames(description.spec.answer));
      !names.ok()) {
    return absl::DataLossError(names.message());
  }
  DISTILLERY_RETURN_IF_ERROR(
      CheckSizes(reference, description, response.sample_count(), max_bytes));
  DISTILLERY_ASSIGN_OR_RETURN(description.stored_indexes, StoredIndexes(response));
  return description;
}

}  // namespace

void FillSelector(const DatasetReference& reference, v1::DatasetSelector* selector) {
  selector->set_name(reference.name);
  selector->set_split(reference.split);
  selector->set_shard_size(static_cast<int32_t>(reference.shard_size));
}

absl::StatusOr<DatasetDescription> ReadDescription(const DatasetReference& reference,
                                                   const v1::DescribeDatasetResponse& response,
                                                   int64_t max_bytes) {
  absl::StatusOr<DatasetDescription> description = Read(reference, response, max_bytes);
  if (absl::IsDataLoss(description.status())) {
    return Annotate(description.status(),
                    absl::StrCat("the teacher's description of ", reference.ToString()));
  }
  return description;
}

}  // namespace distillery
