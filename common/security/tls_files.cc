#include "common/security/tls_files.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/base/text_file.h"
#include "common/security/openssl.h"

namespace distillery {
namespace {

// In the last tenth of its life, at most so long, each start says that a new certificate is due.
constexpr absl::Duration kSoon = absl::Hours(24 * 14);

std::string HowToRenew(const CertificateInfo& info) {
  std::string command = "`distillery certificates create DIR --force";
  if (info.identity.has_value()) {
    absl::StrAppend(&command, " --role ", RoleName(info.identity->role), " --name ",
                    info.identity->name);
  }
  return absl::StrCat("make a new one with ", command, "`");
}

void WarnOfTheEnd(const TlsPaths& paths, const CertificateInfo& info) {
  const absl::Duration left = info.not_after - absl::Now();
  if (left < std::min(kSoon, (info.not_after - info.not_before) / 10)) {
    LogWarning("certificate {} expires at {}: {}", paths.certificate,
               CertificateTime(info.not_after), HowToRenew(info));
  }
}

}  // namespace

absl::StatusOr<TlsFiles> ReadTlsFiles(const TlsPaths& paths, absl::Time now) {
  const auto wrong = [](const std::string& path, absl::string_view why) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": ", why));
  };
  TlsFiles files;
  DISTILLERY_ASSIGN_OR_RETURN(files.certificate, ReadTextFile(paths.certificate, kMaxPemBytes));
  DISTILLERY_ASSIGN_OR_RETURN(files.key, ReadTextFile(paths.key, kMaxPemBytes));
  DISTILLERY_ASSIGN_OR_RETURN(files.ca, ReadTextFile(paths.ca, kMaxPemBytes));
  const std::vector<X509Ptr> chain = ReadPemCertificates(files.certificate);
  if (chain.empty()) return wrong(paths.certificate, "no certificate in PEM");
  const KeyPtr key = ReadPemKey(files.key);
  if (key == nullptr) return wrong(paths.key, "no private key in PEM without a password");
  if (X509_check_private_key(chain.front().get(), key.get()) != 1) {
    TakeOpensslError();
    return wrong(paths.key, absl::StrCat("not the key of the certificate in ", paths.certificate));
  }
  if (ReadPemCertificates(files.ca).empty()) {
    return wrong(paths.ca, "no authority's certificate in PEM");
  }
  files.info = DescribeCertificate(chain.front().get());
  if (const absl::Status valid = CheckValidity(files.info, now); !valid.ok()) {
    return wrong(paths.certificate, absl::StrCat("the certificate ", std::string(valid.message()),
                                                 ": ", HowToRenew(files.info)));
  }
  return files;
}

absl::StatusOr<std::shared_ptr<TlsFileWatch>> TlsFileWatch::Open(const TlsPaths& paths) {
  std::shared_ptr<TlsFileWatch> watch(new TlsFileWatch(paths));
  MutexLock lock(watch->mutex_);
  watch->versions_ = watch->Look();
  DISTILLERY_ASSIGN_OR_RETURN(TlsFiles files, ReadTlsFiles(paths, absl::Now()));
  WarnOfTheEnd(paths, files.info);
  watch->files_ = std::make_shared<const TlsFiles>(std::move(files));
  return watch;
}

TlsFileWatch::Versions TlsFileWatch::Look() const {
  return {VersionOf(paths_.certificate), VersionOf(paths_.key), VersionOf(paths_.ca)};
}

std::shared_ptr<const TlsFiles> TlsFileWatch::Get() {
  MutexLock lock(mutex_);
  // Before reading: what is written while that is done shows the next time.
  Versions versions = Look();
  if (versions == versions_) return files_;
  versions_ = std::move(versions);
  absl::StatusOr<TlsFiles> files = ReadTlsFiles(paths_, absl::Now());
  if (!files.ok()) {
    LogWarning("{}; the certificate read before stays in use",
               std::string(files.status().message()));
    return files_;
  }
  LogInfo("certificate of {} read anew from {}, valid until {}", WhoseCertificate(files->info),
          paths_.certificate, CertificateTime(files->info.not_after));
  WarnOfTheEnd(paths_, files->info);
  files_ = std::make_shared<const TlsFiles>(*std::move(files));
  return files_;
}

}  // namespace distillery
