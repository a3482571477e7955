// The three PEM files of a program that speaks TLS: read, checked, and read again when they change.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/file_version.h"
#include "common/base/mutex.h"
#include "common/security/certificate.h"

namespace distillery {

struct TlsPaths {
  std::string certificate;
  std::string key;
  std::string ca;
};

// Their content, and what the certificate says.
struct TlsFiles {
  std::string certificate;
  std::string key;
  std::string ca;
  CertificateInfo info;
};

// Errors name the file and the way out: those of ReadFile; FAILED_PRECONDITION for what is no PEM,
// a key of another certificate, a certificate that has expired or is not valid yet.
absl::StatusOr<TlsFiles> ReadTlsFiles(const TlsPaths& paths, absl::Time now);

// The files as they were when they last went together. A new pair is written one file after the
// other, and may be wrong: until it is right, the old one stays in use. Each wrong state is warned
// of once.
//
// Threads: safe for all.
class TlsFileWatch {
 public:
  // Errors as ReadTlsFiles.
  static absl::StatusOr<std::shared_ptr<TlsFileWatch>> Open(const TlsPaths& paths);

  // Looks whether the files have changed, reads them if so. The result is another object then.
  std::shared_ptr<const TlsFiles> Get();

 private:
  using Versions = std::vector<std::optional<FileVersion>>;
  explicit TlsFileWatch(TlsPaths paths) : paths_(std::move(paths)) {}
  Versions Look() const;

  const TlsPaths paths_;
  Mutex mutex_;
  std::shared_ptr<const TlsFiles> files_ ABSL_GUARDED_BY(mutex_);
  // The versions of what was read last, right or wrong.
  Versions versions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
