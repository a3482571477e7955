#include "student_worker/rpc/remote_dataset.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/spool_file.h"
#include "common/base/status_macros.h"
#include "common/data/record_check.h"
#include "common/data/record_file.h"
#include "common/rpc/status_conversion.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "student_worker/rpc/shard_stream.h"

namespace distillery {
namespace {

// The teacher may have to read the files first.
constexpr absl::Duration kDescribeDeadline = absl::Minutes(5);

// Which teacher describes a split.
TeacherSet::Question QuestionOf(const DatasetReference& reference) {
  TeacherSet::Question question;
  question.key.dataset_digest = reference.ToString();
  return question;
}

double Megabytes(int64_t bytes) { return static_cast<double>(bytes) / 1e6; }

}  // namespace

// The rows that have come: records in a temporary file, the rest in memory.
class RemoteDatasetClient::Received {
 public:
  Received(const DatasetReference& reference, const DatasetDescription& description,
           SpoolFile spool)
      : spool_(std::move(spool)) {
    samples_.name = reference.name;
    samples_.spec = description.spec;
    samples_.class_names = description.class_names;
    samples_.labels.reserve(static_cast<size_t>(description.row_count()));
  }

  int64_t size() const { return samples_.size(); }
  int64_t bytes() const { return size() * samples_.record_bytes(); }
  // Why records could not be kept: no teacher's fault.
  const absl::Status& spool_status() const { return spool_status_; }

  // Appends the rows of a chunk: how many they were; or DATA_LOSS or spool_status(), as before
  // then.
  absl::StatusOr<int64_t> Append(const v1::SoftTargetChunk& chunk, int64_t max_rows) {
    const v1::Tensor& inputs = chunk.inputs();
    const v1::Tensor& labels = chunk.labels();
    const int64_t rows = labels.shape_size() == 1 ? labels.shape(0) : 0;
    if (rows < 1 || rows > max_rows || labels.data_type() != v1::DATA_TYPE_INT32 ||
        static_cast<int64_t>(labels.data().size()) != rows * int64_t{sizeof(int32_t)}) {
      return absl::DataLossError(absl::StrCat("labels of row ", chunk.start_row(),
                                              " on: ", labels.data().size(),
                                              " bytes are not those of 1 to ", max_rows, " rows"));
    }
    const bool pictures = samples_.spec.is_picture_by_class();
    std::vector<int64_t> expected = {rows, samples_.record_bytes()};
    if (pictures) {
      const ImageShape shape = samples_.shape();
      expected = {rows, shape.channels, shape.height, shape.width};
    }
    if (inputs.data_type() != v1::DATA_TYPE_UINT8 ||
        !std::equal(inputs.shape().begin(), inputs.shape().end(), expected.begin(),
                    expected.end()) ||
        static_cast<int64_t>(inputs.data().size()) != rows * samples_.record_bytes()) {
      return absl::DataLossError(
          absl::StrCat("inputs of row ", chunk.start_row(), " on: ", inputs.data().size(),
                       " bytes are not those of ", rows, pictures ? " images of " : " samples of ",
                       samples_.record_bytes()));
    }
    std::vector<int32_t> values(static_cast<size_t>(rows));
    std::memcpy(values.data(), labels.data().data(), labels.data().size());
    const auto classes = static_cast<int32_t>(samples_.class_names.size());
    for (const int32_t label : values) {
      if (label >= 0 && label < classes) continue;
      return absl::DataLossError(absl::StrCat("labels of row ", chunk.start_row(), " on: ", label,
                                              " is none of ", classes, " classes"));
    }
    for (int64_t row = 0; !pictures && row < rows; ++row) {
      const auto* const record = reinterpret_cast<const uint8_t*>(inputs.data().data());
      const absl::Status sound =
          CheckRecord(samples_.spec, classes, record + row * samples_.record_bytes());
      if (!sound.ok()) {
        return absl::DataLossError(
            absl::StrCat("row ", chunk.start_row() + row, ": ", std::string(sound.message())));
      }
    }
    spool_status_ = spool_.WriteAt(bytes(), inputs.data());
    DISTILLERY_RETURN_IF_ERROR(spool_status_);
    for (const int32_t label : values) samples_.labels.push_back(label);
    return rows;
  }

  // Forgets the rows from `rows` on.
  void Truncate(int64_t rows) { samples_.labels.Truncate(static_cast<size_t>(rows)); }

  std::shared_ptr<const StoredSamples> Finish() && {
    const int64_t record_bytes = samples_.record_bytes();
    InputFile file("the samples of the teacher", std::move(spool_).Release());
    samples_.files.push_back(std::make_shared<RecordFile>(
        std::move(file), RecordLayout{0, record_bytes, record_bytes, size()}));
    return std::make_shared<const StoredSamples>(std::move(samples_));
  }

 private:
  StoredSamples samples_;
  SpoolFile spool_;
  absl::Status spool_status_;
};

// Tells the log how far a fetch is.
class RemoteDatasetClient::Progress {
 public:
  Progress(const Options& options, const DatasetReference& reference, int64_t total_bytes)
      : options_(options),
        name_(reference.ToString()),
        total_bytes_(total_bytes),
        start_(options.clock->SteadyNow()),
        last_(start_) {}

  void Report(int64_t bytes) {
    const absl::Duration now = options_.clock->SteadyNow();
    if (now - last_ < options_.report_period) return;
    last_ = now;
    LogInfo("data set {}: {:.1f} of {:.1f} MB have come from the teacher", name_, Megabytes(bytes),
            Megabytes(total_bytes_));
  }
  void Done(int64_t rows) {
    LogInfo("data set {}: {} samples, {:.1f} MB, came from the teacher in {:.1f} s", name_, rows,
            Megabytes(total_bytes_), absl::ToDoubleSeconds(options_.clock->SteadyNow() - start_));
  }

 private:
  const Options& options_;
  const std::string name_;
  const int64_t total_bytes_;
  const absl::Duration start_;
  absl::Duration last_;
};

RemoteDatasetClient::RemoteDatasetClient(const Options& options, TeacherChannels* teachers,
                                         CallCanceller* canceller,
                                         std::function<void(const std::string&)> waiting)
    : options_(options),
      canceller_(canceller),
      channels_(teachers),
      teachers_(teachers, std::move(waiting)) {}

absl::StatusOr<std::shared_ptr<const Dataset>> RemoteDatasetClient::Fetch(
    const DatasetReference& reference, const std::string& expected_digest,
    const CancelCheck& cancelled) {
  DISTILLERY_RETURN_IF_ERROR(reference.Validate());
  DISTILLERY_ASSIGN_OR_RETURN(DatasetDescription description,
                              Describe(reference, expected_digest, cancelled));
  Progress progress(options_, reference, description.all_bytes());
  absl::StatusOr<SpoolFile> spool =
      SpoolFile::Create(description.all_bytes(), options_.spool_folder);
  if (!spool.ok()) return Annotate(spool.status(), reference.ToString());
  Received received(reference, description, *std::move(spool));
  for (int64_t shard = 0; received.size() < description.row_count(); ++shard) {
    DISTILLERY_RETURN_IF_ERROR(
        ReadShard(reference, description, shard, cancelled, &progress, &received));
  }
  DISTILLERY_ASSIGN_OR_RETURN(
      std::shared_ptr<const Dataset> dataset,
      Dataset::FromRows(std::move(received).Finish(), std::move(description.stored_indexes),
                        description.stored_size, reference));
  if (dataset->digest() != description.digest) {
    return absl::DataLossError(
        absl::StrCat("data set ", reference.ToString(), ": what the teacher sent has the digest ",
                     dataset->digest(), ", it had promised ", description.digest));
  }
  progress.Done(dataset->size());
  return dataset;
}

absl::StatusOr<std::string> RemoteDatasetClient::AskDigest(const DatasetReference& reference) {
  DISTILLERY_RETURN_IF_ERROR(reference.Validate());
  DISTILLERY_ASSIGN_OR_RETURN(const std::optional<TeacherChannels::Teacher> teacher,
                              channels_->Pick(QuestionOf(reference)));
  if (!teacher.has_value()) return absl::UnavailableError("no teacher can be asked now");
  DatasetDescription description;
  DISTILLERY_RETURN_IF_ERROR(
      DescribeOnce(teacher->channel, reference, /*expected_digest=*/"", &description).status);
  return description.digest;
}

absl::StatusOr<DatasetDescription> RemoteDatasetClient::Describe(const DatasetReference& reference,
                                                                 const std::string& expected_digest,
                                                                 const CancelCheck& cancelled) {
  TeacherSet::Question question = QuestionOf(reference);
  DatasetDescription description;
  DISTILLERY_RETURN_IF_ERROR(
      teachers_.Ask(absl::StrCat("data set ", reference.ToString()), &question, cancelled,
                    [&](const std::shared_ptr<grpc::Channel>& channel) {
                      return DescribeOnce(channel, reference, expected_digest, &description);
                    }));
  return description;
}

AnyTeacher::Answer RemoteDatasetClient::DescribeOnce(const std::shared_ptr<grpc::Channel>& channel,
                                                     const DatasetReference& reference,
                                                     const std::string& expected_digest,
                                                     DatasetDescription* description) {
  AnyTeacher::Answer answer;
  v1::DescribeDatasetRequest request;
  FillSelector(reference, request.mutable_dataset());
  v1::DescribeDatasetResponse response;
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kDescribeDeadline));
  const CallCanceller::Scope scope(canceller_, &context);
  answer.status = FromGrpcStatus(
      v1::TeacherService::NewStub(channel)->DescribeDataset(&context, request, &response));
  // The data is too large, which waiting does not change.
  answer.final = absl::IsResourceExhausted(answer.status);
  if (!answer.status.ok()) return answer;
  answer.final = true;
  if (!expected_digest.empty() && response.dataset_digest() != expected_digest) {
    answer.status = absl::FailedPreconditionError(
        absl::StrCat("dataset digest of ", reference.ToString(), " at the teacher is ",
                     Printable(response.dataset_digest()), ", expected ", expected_digest));
    return answer;
  }
  absl::StatusOr<DatasetDescription> read =
      ReadDescription(reference, response, options_.max_bytes);
  answer.status = read.status();
  if (read.ok()) *description = *std::move(read);
  return answer;
}

absl::Status RemoteDatasetClient::ReadShard(const DatasetReference& reference,
                                            const DatasetDescription& description, int64_t shard,
                                            const CancelCheck& cancelled, Progress* progress,
                                            Received* received) {
  const int64_t first_row = received->size();
  const int64_t row_count = std::min(reference.shard_size, description.row_count() - first_row);
  v1::StreamSoftTargetsRequest request;
  FillSelector(reference, request.mutable_dataset());
  request.set_shard(static_cast<int32_t>(shard));
  request.set_temperature(1);
  request.set_representation(v1::REPRESENTATION_NONE);
  request.set_include_samples(true);
  request.set_expected_dataset_digest(description.digest);

  ShardHandlers handlers;
  handlers.header = [&](const v1::SoftTargetHeader& header) -> absl::Status {
    if (header.dataset_digest() == description.digest && header.row_count() == row_count) {
      return absl::OkStatus();
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "the teacher's shard ", shard, " has ", header.row_count(), " rows of data set digest ",
        Printable(header.dataset_digest()), ", expected ", row_count, " of ", description.digest));
  };
  handlers.chunk = [&](const v1::SoftTargetChunk& chunk) -> absl::StatusOr<int64_t> {
    DISTILLERY_ASSIGN_OR_RETURN(const int64_t rows,
                                received->Append(chunk, first_row + row_count - received->size()));
    progress->Report(received->bytes());
    return rows;
  };
  TeacherSet::Question question;
  question.key = {description.digest, shard, 0};
  return teachers_.Ask(absl::StrCat("shard ", shard, " of data set ", reference.ToString()),
                       &question, cancelled, [&](const std::shared_ptr<grpc::Channel>& channel) {
                         const int64_t held = received->size();
                         request.set_start_row(held - first_row);
                         AnyTeacher::Answer answer;
                         answer.status =
                             ReadShardStream(channel, request, row_count, canceller_, handlers);
                         if (absl::IsDataLoss(answer.status)) received->Truncate(held);
                         answer.progress = received->size() > held;
                         if (!received->spool_status().ok()) {
                           answer.status = Annotate(received->spool_status(), reference.ToString());
                           answer.final = true;  // another teacher would not make room here
                         }
                         return answer;
                       });
}

}  // namespace distillery
