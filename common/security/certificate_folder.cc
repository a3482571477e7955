#include "common/security/certificate_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/descriptor.h"
#include "common/base/files.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/sync_to_disk.h"
#include "common/security/certificate.h"
#include "common/security/certificate_authority.h"

namespace distillery {
namespace {

// For machines whose clock is a little behind.
constexpr absl::Duration kClockSkew = absl::Minutes(5);
constexpr int64_t kAuthorityDays = 3650;

constexpr char kReadme[] =
    "Certificates of a Distillery installation (`distillery certificates create` made them).\n"
    "\n"
    "ca.pem                 the authority: to every machine, for --tls-ca\n"
    "ca-key.pem             signs new certificates: keep it here, or offline; no program needs it\n"
    "teacher.pem, -key      teacher_service: --tls-certificate teacher.pem --tls-key "
    "teacher-key.pem\n"
    "coordinator.pem, -key  coordinator\n"
    "worker.pem, -key       student_worker; one for all workers, or one for each:\n"
    "                         distillery certificates create . --role worker --name worker-7\n"
    "operator.pem, -key     people who submit, pause and delete runs, or reload models\n"
    "reader.pem, -key       people and tools that read, and ask the teacher\n"
    "\n"
    "Each machine gets ca.pem and its own pair, nothing else. A key must be readable by its "
    "program's\n"
    "user alone (chmod 600). Programs take new files up by themselves. What a file says:\n"
    "  distillery certificates show worker.pem\n";

// As WriteFileDurably, for the owner alone from the first byte on.
absl::Status WriteSecret(const std::string& path, absl::string_view bytes) {
  const std::string temporary = absl::StrCat(path, ".", RandomHex(8), ".tmp");
  const Descriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.valid()) return ErrnoStatus(errno, absl::StrCat("cannot write ", path));
  absl::string_view left = bytes;
  while (!left.empty()) {
    const ssize_t written = write(file.get(), left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int error = errno;
      unlink(temporary.c_str());
      return ErrnoStatus(error, absl::StrCat("cannot write ", path));
    }
    left.remove_prefix(static_cast<size_t>(written));
  }
  if (SyncToDisk(file.get()) != 0) {
    const int error = errno;
    unlink(temporary.c_str());
    return ErrnoStatus(error, absl::StrCat("cannot write ", path));
  }
  return RenameDurably(temporary, path);
}

struct PairPaths {
  std::string certificate;
  std::string key;
};

PairPaths PathsOf(const std::string& folder, const std::string& name) {
  return {absl::StrCat(folder, "/", name, ".pem"), absl::StrCat(folder, "/", name, "-key.pem")};
}

absl::Status WritePair(const PairPaths& paths, const CertificatePair& pair) {
  DISTILLERY_RETURN_IF_ERROR(WriteSecret(paths.key, pair.key));
  return WriteFileDurably(paths.certificate, pair.certificate);
}

// None if neither file is there.
absl::StatusOr<std::optional<CertificatePair>> ReadPair(const PairPaths& paths) {
  const bool certificate = FileExists(paths.certificate);
  const bool key = FileExists(paths.key);
  if (!certificate && !key) return std::optional<CertificatePair>();
  if (certificate != key) {
    return absl::FailedPreconditionError(absl::StrCat(
        certificate ? paths.certificate : paths.key, " is there without ",
        certificate ? paths.key : paths.certificate, ": remove it, or bring the other"));
  }
  CertificatePair pair;
  DISTILLERY_ASSIGN_OR_RETURN(pair.certificate, ReadFile(paths.certificate, kMaxPemBytes));
  DISTILLERY_ASSIGN_OR_RETURN(pair.key, ReadFile(paths.key, kMaxPemBytes));
  return std::optional<CertificatePair>(std::move(pair));
}

std::string Describe(const CertificateInfo& info) {
  return absl::StrCat(
      "certificate of ", WhoseCertificate(info),
      info.hosts.empty() ? "" : absl::StrCat(" for ", absl::StrJoin(info.hosts, ", ")),
      ", valid until ", CertificateTime(info.not_after));
}

// What a new certificate in its place is for, unless it is told otherwise.
std::vector<std::string> HostsOf(const CertificatePair& pair) {
  const absl::StatusOr<CertificateInfo> info = ParseCertificate(pair.certificate);
  if (!info.ok()) return {};
  std::vector<std::string> hosts;
  for (const std::string& host : info->hosts) {
    if (CheckHost(host).ok()) hosts.push_back(host);
  }
  return hosts;
}

absl::Status CheckOptions(const CertificateFolderOptions& options) {
  for (const std::string& host : options.hosts) DISTILLERY_RETURN_IF_ERROR(CheckHost(host));
  const bool servers =
      options.roles.empty() || std::any_of(options.roles.begin(), options.roles.end(), IsServer);
  if (!options.hosts.empty() && !servers) {
    return absl::InvalidArgumentError("--hosts is for the roles teacher and coordinator");
  }
  if (options.name.empty()) return absl::OkStatus();
  if (options.roles.size() != 1) {
    return absl::InvalidArgumentError("--name goes with a single --role");
  }
  DISTILLERY_RETURN_IF_ERROR(CheckName("--name", options.name, kMaxIdentityName));
  const absl::StatusOr<Role> role = ParseRole(options.name);
  if (options.name == "ca" || absl::EndsWith(options.name, "-key") ||
      (role.ok() && *role != options.roles.front())) {
    return absl::InvalidArgumentError(
        absl::StrCat("--name ", options.name, ": its files would be taken for others"));
  }
  return absl::OkStatus();
}

// What is there must be what is asked for.
absl::Status CheckKept(const CertificatePair& pair, const PairPaths& paths,
                       const CertificateRequest& request, const CertificateAuthority& authority,
                       absl::Time now) {
  const auto wrong = [&](absl::string_view why) {
    return absl::FailedPreconditionError(
        absl::StrCat(paths.certificate, " is there, and ", why, ": --force makes a new one"));
  };
  const std::vector<X509Ptr> certificates = ReadPemCertificates(pair.certificate);
  if (certificates.empty()) return wrong("is no certificate in PEM");
  const CertificateInfo info = DescribeCertificate(certificates.front().get());
  const KeyPtr key = ReadPemKey(pair.key);
  if (key == nullptr || X509_check_private_key(certificates.front().get(), key.get()) != 1) {
    TakeOpensslError();
    return wrong(absl::StrCat(paths.key, " is not its key"));
  }
  if (!authority.Signed(certificates.front().get())) return wrong("ca.pem has not signed it");
  if (const absl::Status valid = CheckValidity(info, now); !valid.ok()) {
    return wrong(absl::StrCat("it ", std::string(valid.message())));
  }
  if (!info.identity.has_value() || IdentityUri(*info.identity) != IdentityUri(request.identity)) {
    return wrong(absl::StrCat("is that of ", WhoseCertificate(info)));
  }
  for (const std::string& host : request.hosts) {
    if (std::find(info.hosts.begin(), info.hosts.end(), host) == info.hosts.end()) {
      return wrong(absl::StrCat("it is not for ", host));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<CertificateAuthority> OpenAuthority(const CertificateFolderOptions& options,
                                                   absl::Time now, std::vector<FolderFile>* files) {
  const PairPaths paths = PathsOf(options.folder, "ca");
  DISTILLERY_ASSIGN_OR_RETURN(const auto found, ReadPair(paths));
  FolderFile file{paths.certificate, !found.has_value(), ""};
  if (found.has_value()) {
    auto authority = CertificateAuthority::Load(*found);
    if (!authority.ok()) return Annotate(authority.status(), paths.certificate);
    DISTILLERY_ASSIGN_OR_RETURN(const CertificateInfo info, ParseCertificate(found->certificate));
    if (const absl::Status valid = CheckValidity(info, now); !valid.ok()) {
      return Annotate(valid, absl::StrCat(paths.certificate, ": the authority"));
    }
    file.what = absl::StrCat("the authority, valid until ", CertificateTime(info.not_after));
    files->push_back(std::move(file));
    return authority;
  }
  const absl::Time end = now + absl::Hours(24 * std::max(kAuthorityDays, options.days));
  DISTILLERY_ASSIGN_OR_RETURN(auto authority, CertificateAuthority::Make(now - kClockSkew, end));
  DISTILLERY_RETURN_IF_ERROR(WritePair(paths, authority.pair()));
  file.what = absl::StrCat("the authority, valid until ", CertificateTime(end));
  files->push_back(std::move(file));
  return authority;
}

}  // namespace

absl::StatusOr<std::vector<FolderFile>> FillCertificateFolder(
    const CertificateFolderOptions& options, absl::Time now) {
  DISTILLERY_RETURN_IF_ERROR(CheckOptions(options));
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(options.folder));
  std::vector<FolderFile> files;
  DISTILLERY_ASSIGN_OR_RETURN(const CertificateAuthority authority,
                              OpenAuthority(options, now, &files));
  std::vector<Role> roles = options.roles;
  if (roles.empty()) roles.assign(kRoles.begin(), kRoles.end());
  for (const Role role : roles) {
    CertificateRequest request;
    request.identity = {role, options.name.empty() ? RoleName(role) : options.name};
    if (IsServer(role)) request.hosts = options.hosts;
    request.not_before = now - kClockSkew;
    request.not_after = now + absl::Hours(24 * options.days);
    const PairPaths paths = PathsOf(options.folder, request.identity.name);
    DISTILLERY_ASSIGN_OR_RETURN(std::optional<CertificatePair> pair, ReadPair(paths));
    const bool make = !pair.has_value() || options.force;
    if (make) {
      if (pair.has_value() && IsServer(role) && request.hosts.empty()) {
        request.hosts = HostsOf(*pair);
      }
      DISTILLERY_ASSIGN_OR_RETURN(pair, authority.Issue(request));
      DISTILLERY_RETURN_IF_ERROR(WritePair(paths, *pair));
    } else {
      DISTILLERY_RETURN_IF_ERROR(CheckKept(*pair, paths, request, authority, now));
    }
    DISTILLERY_ASSIGN_OR_RETURN(const CertificateInfo info, ParseCertificate(pair->certificate));
    files.push_back({paths.certificate, make, Describe(info)});
  }
  const std::string readme = absl::StrCat(options.folder, "/README.txt");
  if (!FileExists(readme)) {
    DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(readme, kReadme));
    files.push_back({readme, true, "which file goes where"});
  }
  return files;
}

}  // namespace distillery
