#include "cli/runs/cluster.h"

#include <algorithm>
#include <csignal>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/runs/teacher_query.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"

namespace distillery {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(20);
// A service drains for at most 5 s.
constexpr absl::Duration kGrace = absl::Seconds(8);

// The last lines of a log, or "" if there are none.
std::string LogEnd(const std::string& path) {
  constexpr size_t kShown = 600;
  const absl::StatusOr<std::string> text = ReadFile(path, int64_t{1} << 30);
  if (!text.ok() || text->empty()) return "";
  const std::string end = text->substr(text->size() - std::min(text->size(), kShown));
  return absl::StrCat("; it said last:\n", std::string(absl::StripAsciiWhitespace(end)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Start(const Options& options) {
  std::unique_ptr<Cluster> cluster(new Cluster(options));
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(options.folder + "/logs"));
  const std::vector<std::string> data =
      options.data_dir.empty() ? std::vector<std::string>{}
                               : std::vector<std::string>{"--data-dir", options.data_dir};
  for (const char* const name : {"teacher_service", "coordinator"}) {
    DISTILLERY_RETURN_IF_ERROR(RemoveFile(cluster->AddressFile(name)));
  }
  std::vector<std::string> teacher = {"teacher_service",
                                      "--model",
                                      options.teacher_model,
                                      "--listen",
                                      "127.0.0.1:0",
                                      "--address-file",
                                      cluster->AddressFile("teacher_service"),
                                      "--cache-dir",
                                      options.folder + "/cache",
                                      "--device",
                                      options.device};
  teacher.insert(teacher.end(), data.begin(), data.end());
  if (!options.teacher_card.empty()) {
    teacher.insert(teacher.end(), {"--card", options.teacher_card});
  }
  DISTILLERY_RETURN_IF_ERROR(cluster->StartMember("teacher_service", std::move(teacher)));
  DISTILLERY_RETURN_IF_ERROR(cluster->StartMember(
      "coordinator", {"coordinator", "--state-dir", options.folder + "/state", "--listen",
                      "127.0.0.1:0", "--address-file", cluster->AddressFile("coordinator"),
                      "--lease-seconds", absl::StrCat(absl::ToDoubleSeconds(options.lease))}));
  DISTILLERY_ASSIGN_OR_RETURN(cluster->teacher_address_,
                              cluster->AwaitAddress(cluster->AddressFile("teacher_service")));
  DISTILLERY_ASSIGN_OR_RETURN(cluster->coordinator_address_,
                              cluster->AwaitAddress(cluster->AddressFile("coordinator")));
  DISTILLERY_RETURN_IF_ERROR(cluster->AwaitTeacher());
  for (int i = 1; i <= options.workers; ++i) {
    const std::string name = absl::StrCat("student_worker-", i);
    std::vector<std::string> worker = {"student_worker",
                                       "--coordinator",
                                       cluster->coordinator_address_,
                                       "--teacher",
                                       cluster->teacher_address_,
                                       "--name",
                                       name,
                                       "--device",
                                       options.device};
    worker.insert(worker.end(), data.begin(), data.end());
    DISTILLERY_RETURN_IF_ERROR(cluster->StartMember(name, std::move(worker)));
  }
  return cluster;
}

Cluster::~Cluster() {
  // Workers first: they give their tasks back to a coordinator that still answers.
  const auto first_worker =
      members_.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(2, members_.size()));
  EndMembers(first_worker, members_.end());
  EndMembers(members_.begin(), first_worker);
}

void Cluster::EndMembers(std::vector<Member>::iterator first, std::vector<Member>::iterator last) {
  const absl::Duration deadline = SteadyNow() + kGrace;
  for (auto member = first; member != last; ++member) member->process.Signal(SIGTERM);
  for (auto member = first; member != last; ++member) {
    member->process.WaitOrKill(deadline - SteadyNow());
  }
}

std::string Cluster::AddressFile(const std::string& name) const {
  return absl::StrCat(options_.folder, "/logs/", name, ".address");
}

absl::Status Cluster::StartMember(const std::string& name, std::vector<std::string> arguments) {
  arguments[0] = absl::StrCat(ProgramFolder(), "/", arguments[0]);
  ChildProcess::Options child;
  // They and this process speak plain text over loopback, whatever certificates the user has set
  // for other services.
  child.environment = {
      {"DISTILLERY_TLS_CERTIFICATE", ""}, {"DISTILLERY_TLS_KEY", ""}, {"DISTILLERY_TLS_CA", ""}};
  child.arguments = std::move(arguments);
  child.log_path = absl::StrCat(options_.folder, "/logs/", name, ".log");
  // Ctrl-C is for this process: it ends the others in order.
  child.own_group = true;
  DISTILLERY_ASSIGN_OR_RETURN(ChildProcess process, ChildProcess::Start(child));
  members_.push_back({name, child.log_path, std::move(process)});
  return absl::OkStatus();
}

absl::Status Cluster::AwaitTeacher() {
  DISTILLERY_ASSIGN_OR_RETURN(const TeacherQuery teacher,
                              TeacherQuery::Connect(teacher_address_, TransportOptions()));
  while (true) {
    const absl::StatusOr<v1::Teacher> described = teacher.Describe();
    if (described.ok()) {
      teacher_digest_ = described->teacher_digest();
      return absl::OkStatus();
    }
    if (!absl::IsUnavailable(described.status())) return described.status();
    DISTILLERY_RETURN_IF_ERROR(Check());
    if (StopSignal::WaitFor(kPoll)) return absl::CancelledError("stopped");
  }
}

absl::StatusOr<std::string> Cluster::AwaitAddress(const std::string& path) {
  constexpr absl::Duration kLongest = absl::Seconds(60);
  const absl::Duration deadline = SteadyNow() + kLongest;
  while (SteadyNow() < deadline) {
    if (FileExists(path)) {
      DISTILLERY_ASSIGN_OR_RETURN(const std::string address, ReadFile(path, 4096));
      return std::string(absl::StripAsciiWhitespace(address));
    }
    DISTILLERY_RETURN_IF_ERROR(Check());
    if (StopSignal::WaitFor(kPoll)) return absl::CancelledError("stopped");
  }
  return absl::UnavailableError(
      absl::StrCat("a service did not listen within 60 s; see ", FolderOf(path)));
}

absl::Status Cluster::Check() {
  for (Member& member : members_) {
    if (const auto end = member.process.Poll()) {
      return absl::UnavailableError(
          absl::StrCat(member.name, " ended (", end->ToString(), ")", LogEnd(member.log_path)));
    }
  }
  return absl::OkStatus();
}

}  // namespace distillery
