#include "teacher_service/rpc/teacher_service.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/rpc/caller.h"
#include "common/rpc/sample_conversion.h"
#include "common/rpc/status_conversion.h"
#include "common/rpc/transport.h"
#include "common/security/role.h"
#include "teacher_service/rpc/compute_inputs.h"
#include "teacher_service/rpc/teacher_messages.h"

namespace distillery {
namespace {

// What a message takes besides its tensors' bytes.
constexpr int64_t kMessageOverhead = 4096;

}  // namespace

TeacherServiceImpl::TeacherServiceImpl(const Options& options, TeacherHost* host)
    : options_(options),
      host_(host),
      query_limits_("queries", "--max-queries-per-client", options.max_queries_per_client),
      streams_(options.streams, host) {}

grpc::ServerUnaryReactor* TeacherServiceImpl::GetTeacher(Context* context,
                                                         const v1::GetTeacherRequest* request,
                                                         v1::GetTeacherResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const auto teacher = host_->ReadyTeacher(request->model_name());
  if (teacher.ok()) FillTeacher((*teacher)->info(), response->mutable_teacher());
  reactor->Finish(ToGrpcStatus(teacher.status()));
  return reactor;
}

grpc::ServerUnaryReactor* TeacherServiceImpl::ListTeachers(
    Context* context, const v1::ListTeachersRequest* /*request*/,
    v1::ListTeachersResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  if (host_->draining()) {
    reactor->Finish(ToGrpcStatus(absl::UnavailableError("the teacher is draining")));
    return reactor;
  }
  for (const std::string& name : host_->models().Names()) {
    v1::Teacher* const message = response->add_teachers();
    const auto teacher = host_->models().Find(name);
    if (teacher.ok()) {
      FillTeacher((*teacher)->info(), message);
    } else {
      message->set_model_name(name);
    }
  }
  FillActivity(response->mutable_activity());
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

void TeacherServiceImpl::FillActivity(v1::TeacherActivity* activity) {
  const ComputeScheduler& scheduler = host_->scheduler();
  const StreamStatistics streams = streams_.statistics();
  activity->set_open_stream_count(static_cast<int32_t>(streams.open_count));
  activity->set_streamed_row_count(streams.row_count);
  activity->set_queued_row_count(scheduler.queued_query_rows());
  activity->set_busy_slot_count(static_cast<int32_t>(scheduler.busy_slots()));
  activity->set_slot_count(static_cast<int32_t>(host_->options().compute.slots));
  int64_t rows = 0;
  for (const auto& [name, model] : scheduler.statistics()) {
    rows += model.stream_row_count + model.query_row_count;
  }
  activity->set_computed_row_count(rows);
  if (LogitCache* const cache = host_->cache(); cache != nullptr) {
    const LogitCache::Stats stats = cache->stats();
    activity->set_cache_hit_count(stats.hits);
    activity->set_cache_miss_count(stats.misses);
  }
}

grpc::ServerUnaryReactor* TeacherServiceImpl::ComputeSoftTargets(
    Context* context, const v1::ComputeSoftTargetsRequest* request,
    v1::ComputeSoftTargetsResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  absl::Status status = StillWanted(*context);
  if (status.ok()) status = Compute(context, *request, response, reactor);
  if (!status.ok()) reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

absl::Status TeacherServiceImpl::Compute(Context* context,
                                         const v1::ComputeSoftTargetsRequest& request,
                                         v1::ComputeSoftTargetsResponse* response,
                                         grpc::ServerUnaryReactor* reactor) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::shared_ptr<Teacher> teacher,
                              host_->ReadyTeacher(request.model_name()));
  const ModelCard& card = teacher->info().card;
  const AnswerShape shape = card.answer_shape();
  DISTILLERY_ASSIGN_OR_RETURN(const SoftTargetFormat format,
                              ReadFormat(request.temperature(), request.representation(),
                                         request.encoding(), request.top_k(), shape));
  if (format.representation == Representation::kNone) {
    return absl::InvalidArgumentError("representation: REPRESENTATION_NONE is for streams");
  }
  DISTILLERY_ASSIGN_OR_RETURN(ComputeInputs read, ReadComputeInputs(request, card.samples));
  const int64_t rows = read.rows;
  if (format.SizesOf(rows, shape).total() > kMaxMessageBytes - kMessageOverhead) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the answer for ", rows, " rows would be over 4 MiB: send fewer"));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const ClientLimits::Place place,
                              query_limits_.Enter(ClientOf(*context)));
  // The message lives until the call is finished, and with it what the inputs point to.
  const auto inputs = std::make_shared<const SentInputs>(std::move(read.inputs));
  Query query;
  query.teacher = teacher;
  query.inputs = inputs->columns();
  query.rows = rows;
  query.any_finite_pixels = request.allow_out_of_range();
  query.deadline = SteadyDeadline(*context, host_->scheduler().clock());
  query.cancelled = [context] { return context->IsCancelled(); };
  query.done = [=](const absl::Status& status, const float* logits) {
    (void)inputs;
    (void)place;
    if (status.ok()) {
      FillSoftTargets(rows, shape, format, EncodeSoftTargets(logits, rows, shape, format),
                      response);
      response->set_teacher_digest(teacher->info().digest);
    }
    reactor->Finish(ToGrpcStatus(status));
  };
  query.format = format;
  query.done_encoded = [=](EncodedRows encoded) {
    (void)inputs;
    (void)place;
    FillSoftTargets(rows, shape, format, std::move(encoded), response);
    response->set_teacher_digest(teacher->info().digest);
    reactor->Finish(grpc::Status::OK);
  };
  return host_->scheduler().AddQuery(std::move(query));
}

grpc::ServerUnaryReactor* TeacherServiceImpl::DescribeDataset(
    Context* context, const v1::DescribeDatasetRequest* request,
    v1::DescribeDatasetResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  pool_.Add([=] {
    absl::Status status = StillWanted(*context);
    if (status.ok() && host_->draining()) {
      status = absl::UnavailableError("the teacher is draining");
    }
    const auto finish = [=](const absl::Status& outcome) {
      reactor->Finish(ToGrpcStatus(outcome, host_->options().data_dir));
    };
    if (!status.ok()) return finish(status);
    const v1::DatasetSelector& selector = request->dataset();
    host_->datasets().OpenLater(
        {selector.name(), selector.split(), selector.shard_size()},
        [=](const DatasetCatalog::Opened& opened) {
          finish(opened.ok() ? Describe(**opened, response) : opened.status());
        });
  });
  return reactor;
}

absl::Status TeacherServiceImpl::Describe(const Dataset& dataset,
                                          v1::DescribeDatasetResponse* response) {
  // Stored indexes travel in one message.
  if (dataset.size() > (kMaxMessageBytes - (1 << 20)) / 4) {
    return absl::ResourceExhaustedError(
        absl::StrCat("split ", dataset.reference().split, " has ", dataset.size(),
                     " samples, too many for a worker without a copy of the data"));
  }
  response->set_dataset_digest(dataset.digest());
  response->set_sample_count(dataset.size());
  response->set_stored_sample_count(dataset.stored_size());
  if (dataset.spec().is_picture_by_class()) {
    for (const int64_t size : dataset.shape().ToVector()) response->add_input_shape(size);
    response->set_pixel_max(dataset.pixel_max());
  } else {
    ToProto(dataset.spec(), response->mutable_inputs(), response->mutable_answer());
  }
  for (const std::string& name : dataset.class_names()) response->add_class_names(name);
  v1::Tensor* const indexes = response->mutable_stored_indexes();
  indexes->set_data_type(v1::DATA_TYPE_INT32);
  indexes->add_shape(dataset.size());
  std::string* const bytes = indexes->mutable_data();
  for (int64_t row = 0; row < dataset.size(); ++row) {
    const auto index = static_cast<int32_t>(dataset.StoredIndex(row));
    bytes->append(reinterpret_cast<const char*>(&index), sizeof(index));
  }
  return absl::OkStatus();
}

bool TeacherServiceImpl::MayReload(const Context& context) const {
  const auto allowed = [this](const std::string& name) {
    return std::find(options_.reload_clients.begin(), options_.reload_clients.end(), name) !=
           options_.reload_clients.end();
  };
  if (const auto auth = context.auth_context(); auth != nullptr && auth->IsPeerAuthenticated()) {
    // Its role has let it in: what is left is whether only some operators may.
    const auto& names = options_.reload_clients;
    if (std::all_of(names.begin(), names.end(),
                    [](const auto& name) { return name == "loopback"; })) {
      return true;
    }
    for (const grpc::string_ref& name : auth->GetPeerIdentity()) {
      const std::string text(name.data(), name.size());
      const absl::StatusOr<Identity> identity = ParseIdentityUri(text);
      if (allowed(text) || (identity.ok() && allowed(identity->name))) return true;
    }
    return false;
  }
  const std::string peer = context.peer();
  const bool local = absl::StartsWith(peer, "ipv4:127.") || absl::StartsWith(peer, "ipv6:[::1]") ||
                     absl::StartsWith(peer, "ipv6:%5B::1%5D") || absl::StartsWith(peer, "unix:");
  return local && allowed("loopback");
}

grpc::ServerUnaryReactor* TeacherServiceImpl::ReloadModel(Context* context,
                                                          const v1::ReloadModelRequest* request,
                                                          v1::ReloadModelResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  if (!MayReload(*context)) {
    reactor->Finish(ToGrpcStatus(absl::PermissionDeniedError(
        "this client may not reload models: name it with teacher_service --allow-reload")));
    return reactor;
  }
  pool_.Add([=] {
    absl::Status status = StillWanted(*context);
    if (status.ok()) status = Reload(*request, response);
    reactor->Finish(ToGrpcStatus(status));
  });
  return reactor;
}

absl::Status TeacherServiceImpl::Reload(const v1::ReloadModelRequest& request,
                                        v1::ReloadModelResponse* response) {
  constexpr size_t kMaxIdLength = 64;
  constexpr size_t kRemembered = 1024;
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request.request_id(), kMaxIdLength));
  MutexLock lock(reload_mutex_);  // one at a time
  if (const auto done = reloads_.find(request.request_id()); done != reloads_.end()) {
    *response = done->second;
    return absl::OkStatus();
  }
  DISTILLERY_RETURN_IF_ERROR(host_->ReadyTeacher(request.model_name()).status());
  DISTILLERY_ASSIGN_OR_RETURN(const std::string name,
                              host_->models().Resolve(request.model_name()));
  if (host_->models().IsEnsemble(name)) {
    return absl::FailedPreconditionError(absl::StrCat(name, " is an ensemble: reload its members"));
  }
  if (!options_.load) return absl::FailedPreconditionError("this service loads no files");
  absl::StatusOr<std::shared_ptr<Teacher>> teacher = options_.load(name);
  if (!teacher.ok()) {
    LogWarning("reload of model {} failed: {}", name, teacher.status().ToString());
    // The text may name a local path.
    return absl::FailedPreconditionError(
        absl::StrCat("model ", name,
                     " could not be loaded anew; the service's log says why. The "
                     "old one is still served"));
  }
  const std::string digest = (*teacher)->info().digest;
  FillTeacher((*teacher)->info(), response->mutable_teacher());
  DISTILLERY_RETURN_IF_ERROR(host_->models().Set(name, *std::move(teacher)));
  LogInfo("reloaded model {}, digest {}", name, digest);
  reloads_[request.request_id()] = *response;
  reload_order_.push_back(request.request_id());
  if (reload_order_.size() > kRemembered) {
    reloads_.erase(reload_order_.front());
    reload_order_.pop_front();
  }
  return absl::OkStatus();
}

}  // namespace distillery
