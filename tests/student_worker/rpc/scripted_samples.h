// A data set that scripted teachers have and workers have not: the digits under another name.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/data/digits.h"
#include "tests/common/data/files.h"
#include "tests/student_worker/rpc/scripted_teacher.h"

namespace distillery {

inline std::shared_ptr<const Dataset> Pictures(const std::string& split = "validation") {
  StoredSamples samples = *ReadBuiltInDigits();
  samples.name = "pictures";
  return *Dataset::Create(std::make_shared<const StoredSamples>(std::move(samples)),
                          {"pictures", split, 100});
}

inline void FillDescription(const Dataset& dataset, v1::DescribeDatasetResponse* response) {
  response->set_dataset_digest(dataset.digest());
  response->set_sample_count(dataset.size());
  response->set_stored_sample_count(dataset.stored_size());
  for (const int64_t size : dataset.shape().ToVector()) response->add_input_shape(size);
  response->set_pixel_max(dataset.pixel_max());
  for (const std::string& name : dataset.class_names()) response->add_class_names(name);
  v1::Tensor* const indexes = response->mutable_stored_indexes();
  indexes->set_data_type(v1::DATA_TYPE_INT32);
  indexes->add_shape(dataset.size());
  for (int64_t row = 0; row < dataset.size(); ++row) {
    const auto index = static_cast<int32_t>(dataset.StoredIndex(row));
    indexes->mutable_data()->append(reinterpret_cast<const char*>(&index), sizeof(index));
  }
}

// The messages of one stream, as they are sent. Rows count from the start of the shard.
class SampleStream {
 public:
  using Message = v1::StreamSoftTargetsResponse;
  SampleStream(const Dataset* dataset, const v1::StreamSoftTargetsRequest& request)
      : dataset_(dataset),
        range_(*dataset->Shard(request.shard())),
        first_(request.start_row()),
        next_(first_) {}

  int64_t left() const { return range_.count - next_; }

  Message Header() const {
    Message message;
    message.mutable_header()->set_teacher_digest("teacher");
    message.mutable_header()->set_dataset_digest(dataset_->digest());
    message.mutable_header()->set_row_count(range_.count);
    message.mutable_header()->set_class_count(static_cast<int32_t>(dataset_->class_count()));
    return message;
  }
  // The next `count` rows; `flip` is put on the first pixel.
  Message Chunk(int64_t count, char flip = 0) {
    Message message;
    v1::SoftTargetChunk* const chunk = message.mutable_chunk();
    chunk->set_start_row(next_);
    v1::Tensor* const inputs = chunk->mutable_inputs();
    inputs->set_data_type(v1::DATA_TYPE_UINT8);
    inputs->add_shape(count);
    for (const int64_t size : dataset_->shape().ToVector()) inputs->add_shape(size);
    v1::Tensor* const labels = chunk->mutable_labels();
    labels->set_data_type(v1::DATA_TYPE_INT32);
    labels->add_shape(count);
    for (int64_t i = 0; i < count; ++i, ++next_) {
      const int64_t row = range_.first + next_;
      const std::vector<uint8_t> pixels = PixelsOf(*dataset_, row);
      inputs->mutable_data()->append(pixels.begin(), pixels.end());
      const int32_t label = dataset_->Label(row);
      labels->mutable_data()->append(reinterpret_cast<const char*>(&label), sizeof(label));
    }
    (*inputs->mutable_data())[0] ^= flip;
    crc_ = Crc32c(labels->data(), Crc32c(inputs->data(), crc_));
    return message;
  }
  // The trailer of the rows that were made.
  Message Trailer() const {
    Message message;
    message.mutable_trailer()->set_row_count(next_ - first_);
    message.mutable_trailer()->set_crc32c(crc_);
    return message;
  }

 private:
  const Dataset* const dataset_;
  const RowRange range_;
  const int64_t first_;
  int64_t next_;
  uint32_t crc_ = 0;
};

// Serves a shard of `dataset` from the row asked for, in chunks of 40 rows.
inline grpc::Status ServeSamples(const Dataset& dataset,
                                 const v1::StreamSoftTargetsRequest& request,
                                 ScriptedTeacher::Writer* writer) {
  SampleStream stream(&dataset, request);
  writer->Write(stream.Header());
  while (stream.left() > 0) writer->Write(stream.Chunk(std::min<int64_t>(40, stream.left())));
  writer->Write(stream.Trailer());
  return grpc::Status::OK;
}

// A teacher that has `dataset`, and answers streams by `script`.
inline std::unique_ptr<ScriptedTeacher> TeacherOf(std::shared_ptr<const Dataset> dataset,
                                                  ScriptedTeacher::Script script) {
  auto teacher = std::make_unique<ScriptedTeacher>(std::move(script));
  teacher->describe = [dataset = std::move(dataset)](const v1::DescribeDatasetRequest&,
                                                     v1::DescribeDatasetResponse* response) {
    FillDescription(*dataset, response);
    return grpc::Status::OK;
  };
  return teacher;
}
inline std::unique_ptr<ScriptedTeacher> TeacherOf(const std::shared_ptr<const Dataset>& dataset) {
  return TeacherOf(dataset, [dataset](size_t, const v1::StreamSoftTargetsRequest& request,
                                      ScriptedTeacher::Writer* writer) {
    return ServeSamples(*dataset, request, writer);
  });
}

// All that there is to a Dataset.
inline void ExpectSame(const Dataset& actual, const Dataset& expected) {
  EXPECT_EQ(actual.digest(), expected.digest());
  EXPECT_EQ(actual.reference().ToString(), expected.reference().ToString());
  EXPECT_TRUE(actual.shape() == expected.shape());
  EXPECT_EQ(actual.pixel_max(), expected.pixel_max());
  EXPECT_EQ(actual.class_names(), expected.class_names());
  EXPECT_EQ(actual.stored_size(), expected.stored_size());
  ASSERT_EQ(actual.size(), expected.size());
  for (int64_t row = 0; row < expected.size(); ++row) {
    ASSERT_EQ(actual.Label(row), expected.Label(row)) << row;
    ASSERT_EQ(actual.StoredIndex(row), expected.StoredIndex(row)) << row;
    ASSERT_EQ(PixelsOf(actual, row), PixelsOf(expected, row)) << row;
  }
}

}  // namespace distillery
