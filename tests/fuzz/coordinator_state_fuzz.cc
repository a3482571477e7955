// The coordinator on a state folder, uploads and requests of any bytes: an error, never a crash.
//
// The first byte says what the rest is: 0 a whole record; 1 changes (2 bytes of place, 1 of value)
// to a sound record; 2 the same to its newest weights and a spooled delta; 3 the file of an upload;
// else a request of a control call.
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/rpc/proto_conversion.h"
#include "coordinator/coordinator.h"
#include "coordinator/offline/state_check.h"
#include "coordinator/offline/state_export.h"
#include "coordinator/upload/delta_upload.h"
#include "distillery/v1/coordinator_service.pb.h"
#include "tests/common/tensor_file.h"
#include "tests/fuzz/fuzz_main.h"

namespace distillery {
namespace {

namespace fs = std::filesystem;

// Replaces what is at the places that the input names.
void Change(const std::string& path, absl::string_view changes) {
  std::string bytes = *ReadFile(path, 1 << 24);
  for (; changes.size() >= 3 && !bytes.empty(); changes.remove_prefix(3)) {
    uint16_t at = 0;
    std::memcpy(&at, changes.data(), sizeof(at));
    // Places rise to the whole file's.
    bytes[(size_t{at} * 7) % bytes.size()] = changes[2];
  }
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// A run in its second round with one replica done, made once; each input gets a copy.
class Fixture {
 public:
  Fixture() {
    const bool memory = fs::is_directory("/dev/shm");
    root_ = memory ? "/dev/shm/coordinator-fuzz-XXXXXX" : "/tmp/coordinator-fuzz-XXXXXX";
    Require(mkdtemp(root_.data()) != nullptr);
    options_.clock = &clock_;
    options_.state_dir = root_ + "/made";
    options_.on_disk_failure = [](const absl::Status&) {};
    const auto coordinator = *Coordinator::Open(options_);
    RunSpec spec;
    spec.name = "fuzz";
    spec.student.architecture = "mlp:64-10";
    spec.loss.alpha = 0;
    spec.training.rounds = 3;
    spec.training.replicas = 2;
    spec.training.local_steps = 1;
    spec.training.batch_size = 1;
    run_id_ = coordinator->runs().Submit("submit", spec)->row.run_id;
    worker_ = coordinator->leases().Register("hello", "host", "avx2", "fastest")->worker_id;
    for (int i = 0; i < 3; ++i) Send(coordinator.get(), *TakeLease(coordinator.get()), File(1));
    Require(coordinator->AverageNext());
    Send(coordinator.get(), *TakeLease(coordinator.get()), File(1));
  }
  ~Fixture() { fs::remove_all(root_); }

  void StateFiles(uint8_t mode, absl::string_view bytes) {
    options_.state_dir = root_ + "/copy";
    fs::remove_all(options_.state_dir);
    fs::copy(root_ + "/made", options_.state_dir, fs::copy_options::recursive);
    const std::string record = options_.state_dir + "/record.sqlite3";
    if (mode == 0) {
      std::ofstream(record, std::ios::binary | std::ios::trunc) << bytes;
    } else if (mode == 1) {
      Change(record, bytes);
    } else {
      Change(options_.state_dir + "/weights/" + run_id_ + "/00000001.safetensors", bytes);
      for (const auto& spooled : fs::directory_iterator(options_.state_dir + "/spool/" + run_id_)) {
        Change(spooled.path().string(), bytes);
        break;
      }
    }
    (void)ExportState(options_.state_dir);
    (void)ExportWeights(options_.state_dir, run_id_, root_ + "/out");
    (void)CheckState(options_.state_dir, {});
    if (const auto coordinator = Coordinator::Open(options_); coordinator.ok()) {
      for (int i = 0; i < 4 && (*coordinator)->AverageNext(); ++i) {
      }
      if (const auto lease = TakeLease(coordinator->get()); lease.has_value()) {
        Send(coordinator->get(), *lease, File(1));
      }
    }
    StateCheckOptions repair;
    repair.repair = true;
    (void)CheckState(options_.state_dir, repair);
  }

  void Upload(absl::string_view bytes) {
    const auto coordinator = Live();
    const auto lease = TakeLease(coordinator);
    if (lease.has_value()) Send(coordinator, *lease, std::string(bytes));
    // The worker may be set aside by now.
    clock_.Advance(StrikeBook::kRest);
  }

  void Request(uint8_t which, absl::string_view bytes) {
    Coordinator* const coordinator = Live();
    const auto parsed = [&](auto message) {
      message.ParsePartialFromArray(bytes.data(), static_cast<int>(bytes.size()));
      return message;
    };
    switch (which % 6) {
      case 0: {
        const auto request = parsed(v1::SubmitRunRequest());
        const auto spec = FromProto(request.spec());
        if (!spec.ok()) return;
        const auto run = coordinator->runs().Submit(request.request_id(), *spec);
        if (!run.ok()) return;
        Require(ValidateRunSpec(run->spec).ok());
        (void)coordinator->runs().Cancel(run->row.run_id);
        (void)coordinator->runs().Delete(run->row.run_id);
        return;
      }
      case 1: {
        const auto request = parsed(v1::RenewLeaseRequest());
        const auto lease = FromProto(request.lease());
        if (lease.ok()) {
          (void)coordinator->leases().Renew(*lease, request.sample_count(), request.waiting_for());
        }
        return;
      }
      case 2: {
        const auto request = parsed(v1::ReportEvaluationRequest());
        const auto lease = FromProto(request.lease());
        if (lease.ok()) {
          (void)coordinator->results().Evaluate(request.request_id(), *lease,
                                                FromProto(request.metrics()));
        }
        return;
      }
      case 3: {
        const auto request = parsed(v1::ReleaseTaskRequest());
        const auto lease = FromProto(request.lease());
        if (lease.ok()) {
          (void)coordinator->leases().Release(*lease, true, request.message(),
                                              request.request_id());
        }
        return;
      }
      case 4: {
        const auto request = parsed(v1::DownloadWeightsRequest());
        (void)coordinator->weights().Open(request.run_id(), request.round());
        (void)coordinator->weights().OpenUploaded(request.uploaded_sha256());
        return;
      }
      default: {
        const auto request = parsed(v1::DeltaHeader());
        UploadHeader header;
        const auto lease = FromProto(request.lease());
        if (!lease.ok()) return;
        header.lease = *lease;
        header.request_id = request.request_id();
        header.byte_count = request.byte_count();
        header.metrics = FromProto(request.metrics());
        header.model_card = request.model_card();
        header.delta_encoding = request.delta_encoding();
        (void)DeltaUpload::Begin(coordinator, header);
      }
    }
  }

 private:
  static std::string File(float value) { return MakeTensorFile({{"w", {value, value, value}}}); }

  // One that lives on from input to input.
  Coordinator* Live() {
    if (live_ == nullptr) {
      options_.state_dir = root_ + "/live";
      fs::copy(root_ + "/made", options_.state_dir, fs::copy_options::recursive);
      live_ = *Coordinator::Open(options_);
    }
    return live_.get();
  }

  std::optional<Lease> TakeLease(Coordinator* coordinator) {
    std::optional<Lease> lease;
    coordinator->leases().Take(absl::StrCat("lease-", ++last_id_), worker_, absl::ZeroDuration(),
                               [&](const absl::StatusOr<LeaseAnswer>& answer) {
                                 if (answer.ok() && answer->grant.has_value()) {
                                   lease = answer->grant->lease;
                                 }
                               });
    return lease;
  }

  void Send(Coordinator* coordinator, const Lease& lease, const std::string& file) {
    UploadHeader header;
    header.request_id = absl::StrCat("upload-", ++last_id_);
    header.lease = lease;
    header.byte_count = static_cast<int64_t>(file.size());
    header.metrics.sample_count = 1;
    auto upload = DeltaUpload::Begin(coordinator, header);
    if (!upload.ok() || !(*upload)->Append(0, file).ok()) return;
    (void)(*upload)->Finish(1, header.byte_count, Crc32c(file));
  }

  FakeClock clock_;
  Coordinator::Options options_;
  std::string root_;
  std::string run_id_;
  std::string worker_;
  std::unique_ptr<Coordinator> live_;
  int last_id_ = 0;
};

void TestOneInput(absl::string_view input) {
  static Fixture fixture;
  const uint8_t mode = TakeByte(&input);
  if (mode <= 2) return fixture.StateFiles(mode, input);
  if (mode == 3) return fixture.Upload(input);
  fixture.Request(mode, input);
}

}  // namespace
}  // namespace distillery

DISTILLERY_FUZZ_TARGET(distillery::TestOneInput)
