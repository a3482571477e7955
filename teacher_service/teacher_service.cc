#include "teacher_service/teacher_service.h"

#include <chrono>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/checksum.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "common/rpc/status_conversion.h"
#include "common/rpc/transport.h"
#include "teacher_service/shard_reader.h"

namespace distillery {
namespace {

constexpr int64_t kMaxComputeRows = 4096;
constexpr int64_t kMaxComputeElements = kMaxMessageBytes / 4;

absl::StatusOr<SoftTargetFormat> ReadFormat(double temperature, int representation, int encoding) {
  SoftTargetFormat format;
  format.temperature = temperature;
  DISTILLERY_RETURN_IF_ERROR(format.Validate(/*classes=*/1));
  switch (representation) {
    case v1::REPRESENTATION_UNSPECIFIED:
    case v1::REPRESENTATION_LOGITS: format.representation = Representation::kLogits; break;
    case v1::REPRESENTATION_PROBABILITIES:
      format.representation = Representation::kProbabilities;
      break;
    default:
      return absl::InvalidArgumentError(absl::StrCat("representation is unknown: ",
                                                     representation));
  }
  switch (encoding) {
    case v1::ENCODING_UNSPECIFIED:
    case v1::ENCODING_FLOAT32: format.encoding = Encoding::kFloat32; break;
    case v1::ENCODING_FLOAT16: format.encoding = Encoding::kFloat16; break;
    default: return absl::InvalidArgumentError(absl::StrCat("encoding is unknown: ", encoding));
  }
  return format;
}

void FillTensor(int64_t rows, int64_t classes, Encoding encoding, std::string values,
                v1::Tensor* tensor) {
  tensor->set_data_type(encoding == Encoding::kFloat16 ? v1::DATA_TYPE_FLOAT16
                                                       : v1::DATA_TYPE_FLOAT32);
  tensor->clear_shape();
  tensor->add_shape(rows);
  tensor->add_shape(classes);
  tensor->set_data(std::move(values));
}

// CANCELLED or DEADLINE_EXCEEDED if nobody waits for the answer any more: work that has queued for
// long must not reach the device. The news of a cancel may lag, the deadline is known.
absl::Status StillWanted(grpc::CallbackServerContext& context) {
  if (context.deadline() <= std::chrono::system_clock::now()) {
    return absl::DeadlineExceededError("the deadline has passed");
  }
  return context.IsCancelled() ? absl::CancelledError("the client went away") : absl::OkStatus();
}

absl::Status CheckExpected(absl::string_view what, const std::string& expected,
                           const std::string& actual) {
  if (expected.empty() || expected == actual) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(what, " digest is ", actual, ", expected ", expected));
}

}  // namespace

// One stream: header, chunks, trailer. While a message is on its way the next one is computed.
//
// Threads: the pool computes, gRPC calls back; `mutex_` joins them.
class SoftTargetStream : public grpc::ServerWriteReactor<v1::StreamSoftTargetsResponse> {
 public:
  SoftTargetStream(TeacherServiceImpl* service, grpc::CallbackServerContext* context,
                   const v1::StreamSoftTargetsRequest& request)
      : service_(service), context_(context), request_(request) {}

  void Start() {
    service_->pool_.Add([this] {
      auto first = std::make_unique<Message>();
      const absl::Status status = Prepare(first.get());
      MutexLock lock(mutex_);
      computing_ = false;
      if (!status.ok()) {
        End(status);
        return;
      }
      next_ = std::move(first);
      Pump();
    });
  }
  void OnWriteDone(bool ok) override {
    MutexLock lock(mutex_);
    writing_ = nullptr;
    if (!ok) cancelled_ = true;
    Pump();
  }
  void OnCancel() override {
    MutexLock lock(mutex_);
    cancelled_ = true;
    Pump();
  }
  void OnDone() override {
    // Whoever called Finish may still hold the lock.
    { const MutexLock lock(mutex_); }
    delete this;
  }

 private:
  using Message = v1::StreamSoftTargetsResponse;

  // Opens everything and makes the header.
  absl::Status Prepare(Message* header) {
    DISTILLERY_ASSIGN_OR_RETURN(Teacher * teacher, service_->ReadyTeacher());
    DISTILLERY_ASSIGN_OR_RETURN(
        const SoftTargetFormat format,
        ReadFormat(request_.temperature(), request_.representation(), request_.encoding()));
    encoding_ = format.encoding;
    View view;
    DISTILLERY_ASSIGN_OR_RETURN(view.augmentation,
                                Augmentation::Parse(request_.augmentation().name()));
    view.seed = request_.augmentation().seed();
    view.view = request_.augmentation().view();
    if (view.view < 0) return absl::InvalidArgumentError("augmentation.view must be >= 0");
    DISTILLERY_RETURN_IF_ERROR(CheckExpected("teacher", request_.expected_teacher_digest(),
                                             teacher->info().digest));
    const v1::DatasetSelector& selector = request_.dataset();
    DISTILLERY_ASSIGN_OR_RETURN(
        std::shared_ptr<const Dataset> dataset,
        service_->catalog_.Open({selector.name(), selector.split(), selector.shard_size()}));
    DISTILLERY_RETURN_IF_ERROR(
        CheckExpected("dataset", request_.expected_dataset_digest(), dataset->digest()));
    DISTILLERY_ASSIGN_OR_RETURN(
        reader_, ShardReader::Create(teacher, dataset, request_.shard(), view, format));
    row_ = request_.start_row();
    if (row_ < 0 || row_ > reader_->row_count()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "start_row must be 0 to ", reader_->row_count(), ", got ", request_.start_row()));
    }
    classes_ = teacher->info().card.class_count();
    header->mutable_header()->set_teacher_digest(teacher->info().digest);
    header->mutable_header()->set_dataset_digest(dataset->digest());
    header->mutable_header()->set_row_count(reader_->row_count());
    header->mutable_header()->set_class_count(static_cast<int32_t>(classes_));
    return absl::OkStatus();
  }

  // Writes what is ready and computes one message ahead.
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_) return;
    if (cancelled_) {
      if (writing_ == nullptr && !computing_) End(absl::CancelledError("the client went away"));
      return;
    }
    if (writing_ == nullptr && next_ != nullptr) {
      writing_ = std::move(next_);
      trailer_written_ = writing_->has_trailer();
      StartWrite(writing_.get());
    } else if (writing_ == nullptr && trailer_written_) {
      End(absl::OkStatus());
      return;
    }
    if (next_ == nullptr && !computing_ && !trailer_made_) {
      computing_ = true;
      service_->pool_.Add([this] { ComputeNext(); });
    }
  }

  void ComputeNext() {
    auto message = std::make_unique<Message>();
    absl::Status status = StillWanted(*context_);
    if (service_->draining_.load()) {
      status = absl::UnavailableError("the teacher is draining");
    } else if (status.ok()) {
      status = MakeNext(message.get());
    }
    MutexLock lock(mutex_);
    computing_ = false;
    if (!status.ok()) {
      failure_ = status;
      if (writing_ == nullptr) {
        End(status);
        return;
      }
      cancelled_ = true;  // the message on its way goes out, then the stream ends
      return;
    }
    next_ = std::move(message);
    Pump();
  }

  absl::Status MakeNext(Message* message) {
    if (row_ == reader_->row_count()) {
      message->mutable_trailer()->set_row_count(row_ - request_.start_row());
      message->mutable_trailer()->set_byte_count(bytes_);
      message->mutable_trailer()->set_crc32c(crc_);
      trailer_made_ = true;
      return absl::OkStatus();
    }
    DISTILLERY_ASSIGN_OR_RETURN(ShardReader::Piece piece, reader_->Read(row_, kChunkBytes));
    row_ += piece.rows;
    bytes_ += static_cast<int64_t>(piece.values.size());
    crc_ = Crc32c(piece.values, crc_);
    message->mutable_chunk()->set_start_row(piece.start_row);
    FillTensor(piece.rows, classes_, encoding_, std::move(piece.values),
               message->mutable_chunk()->mutable_values());
    return absl::OkStatus();
  }

  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_) return;
    finished_ = true;
    Finish(ToGrpcStatus(failure_.ok() ? status : failure_, service_->options_.data_dir));
  }

  TeacherServiceImpl* const service_;
  // Lives until OnDone.
  grpc::CallbackServerContext* const context_;
  const v1::StreamSoftTargetsRequest request_;
  // Used by one pool thread at a time.
  std::unique_ptr<ShardReader> reader_;
  Encoding encoding_ = Encoding::kFloat32;
  int64_t classes_ = 0;
  int64_t row_ = 0;
  int64_t bytes_ = 0;
  uint32_t crc_ = 0;
  std::atomic<bool> trailer_made_{false};

  Mutex mutex_;
  std::unique_ptr<Message> writing_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Message> next_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  // A pool thread uses this object, or will: from the start, since Prepare is queued first.
  bool computing_ ABSL_GUARDED_BY(mutex_) = true;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool trailer_written_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

TeacherServiceImpl::TeacherServiceImpl(const Options& options)
    : options_(options), catalog_(options.data_dir), pool_(options.compute_slots) {}

void TeacherServiceImpl::SetTeacher(std::unique_ptr<Teacher> teacher) {
  owned_teacher_ = std::move(teacher);
  teacher_.store(owned_teacher_.get());
}

absl::StatusOr<Teacher*> TeacherServiceImpl::ReadyTeacher() const {
  if (draining_.load()) return absl::UnavailableError("the teacher is draining");
  Teacher* const teacher = teacher_.load();
  if (teacher == nullptr) return absl::UnavailableError("the teacher is loading its model");
  return teacher;
}

grpc::ServerUnaryReactor* TeacherServiceImpl::GetTeacher(Context* context,
                                                         const v1::GetTeacherRequest* /*request*/,
                                                         v1::GetTeacherResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const absl::StatusOr<Teacher*> teacher = ReadyTeacher();
  if (teacher.ok()) {
    const TeacherInfo& info = (*teacher)->info();
    response->set_teacher_digest(info.digest);
    response->set_model_name(info.model_name);
    for (const int64_t size : info.card.input_shape.ToVector()) response->add_input_shape(size);
    for (const std::string& name : info.card.class_names) response->add_class_names(name);
    response->set_parameter_count(info.parameter_count);
    response->set_numerics_fingerprint(info.numerics_fingerprint);
    response->set_batch_row_count(static_cast<int32_t>(info.batch_rows));
  }
  reactor->Finish(ToGrpcStatus(teacher.status()));
  return reactor;
}

grpc::ServerWriteReactor<v1::StreamSoftTargetsResponse>* TeacherServiceImpl::StreamSoftTargets(
    Context* context, const v1::StreamSoftTargetsRequest* request) {
  auto* const stream = new SoftTargetStream(this, context, *request);
  stream->Start();
  return stream;
}

grpc::ServerUnaryReactor* TeacherServiceImpl::ComputeSoftTargets(
    Context* context, const v1::ComputeSoftTargetsRequest* request,
    v1::ComputeSoftTargetsResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  pool_.Add([=] {
    absl::Status status = StillWanted(*context);
    if (status.ok()) status = Compute(*request, response);
    reactor->Finish(ToGrpcStatus(status));
  });
  return reactor;
}

absl::Status TeacherServiceImpl::Compute(const v1::ComputeSoftTargetsRequest& request,
                                         v1::ComputeSoftTargetsResponse* response) {
  DISTILLERY_ASSIGN_OR_RETURN(Teacher * teacher, ReadyTeacher());
  DISTILLERY_ASSIGN_OR_RETURN(
      const SoftTargetFormat format,
      ReadFormat(request.temperature(), request.representation(), request.encoding()));
  const v1::Tensor& inputs = request.inputs();
  if (inputs.data_type() != v1::DATA_TYPE_FLOAT32) {
    return absl::InvalidArgumentError("inputs.data_type must be DATA_TYPE_FLOAT32");
  }
  const std::vector<int64_t> shape(inputs.shape().begin(), inputs.shape().end());
  const absl::StatusOr<int64_t> count = CheckedElementCount(shape, kMaxComputeElements);
  if (!count.ok()) return Annotate(count.status(), "inputs");
  const std::vector<int64_t> expected = teacher->info().card.input_shape.ToVector();
  if (shape.size() != 4 || !std::equal(expected.begin(), expected.end(), shape.begin() + 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("inputs.shape must be [rows, ", absl::StrJoin(expected, ", "), "], got [",
                     absl::StrJoin(shape, ", "), "]"));
  }
  if (shape[0] > kMaxComputeRows) {
    return absl::ResourceExhaustedError(
        absl::StrCat("inputs has ", shape[0], " rows, at most ", kMaxComputeRows));
  }
  if (static_cast<int64_t>(inputs.data().size()) != *count * 4) {
    return absl::InvalidArgumentError(absl::StrCat("inputs.data has ", inputs.data().size(),
                                                   " bytes, its shape needs ", *count * 4));
  }
  const int64_t classes = teacher->info().card.class_count();
  if (format.SizesOf(shape[0], classes).total() > kMaxMessageBytes - 4096) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the answer for ", shape[0], " rows would be over 4 MiB: send fewer"));
  }
  std::vector<float> pixels(static_cast<size_t>(*count));
  std::memcpy(pixels.data(), inputs.data().data(), inputs.data().size());
  std::vector<float> logits(static_cast<size_t>(shape[0] * classes));
  DISTILLERY_RETURN_IF_ERROR(teacher->ComputeLogits(pixels.data(), shape[0], logits.data()));
  FillTensor(shape[0], classes, format.encoding,
             EncodeSoftTargets(logits.data(), shape[0], classes, format).values,
             response->mutable_soft_targets());
  response->set_teacher_digest(teacher->info().digest);
  return absl::OkStatus();
}

}  // namespace distillery
