// A folder of certificates for one installation: ca.pem and ca-key.pem, and for each program
// NAME.pem and NAME-key.pem. Keys are for their owner alone (0600).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/security/role.h"

namespace distillery {

struct CertificateFolderOptions {
  std::string folder;
  // Empty: all.
  std::vector<Role> roles;
  // The name of the certificate and its files; empty: the role's. Only with a single role.
  std::string name;
  // DNS names and IP addresses of teachers and coordinators. A certificate made anew keeps those
  // that it had if there are none.
  std::vector<std::string> hosts;
  int64_t days = 365;
  // Makes pairs that are there anew; never the authority.
  bool force = false;
};

struct FolderFile {
  std::string path;
  // Else it was there, and is as it was.
  bool made = false;
  // For people: "certificate of worker \"worker-7\", valid until ...".
  std::string what;
};

// The files in the order in which they were looked at. INVALID_ARGUMENT for options that do not go
// together; FAILED_PRECONDITION for files that are there and are not what is asked for, which says
// what to do: nothing is overwritten without `force`.
absl::StatusOr<std::vector<FolderFile>> FillCertificateFolder(
    const CertificateFolderOptions& options, absl::Time now);

}  // namespace distillery
