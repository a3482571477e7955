// distillery certificates: makes the certificates of an installation, and says what one is for.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/commands/command.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "common/security/certificate.h"
#include "common/security/certificate_folder.h"

namespace distillery {
namespace {

constexpr int64_t kMaxPemBytes = 1 << 20;

class CertificatesCommand : public Command {
 public:
  explicit CertificatesCommand(CommandLine* parent)
      : Command(
            parent, "certificates",
            "Make the certificates that mutual TLS needs, each with a role, and say what one is "
            "for.",
            "  distillery certificates create certificates --hosts c.example,t.example,10.0.0.7\n"
            "      an authority, and a certificate for each role\n"
            "  distillery certificates create certificates --role worker --name worker-7\n"
            "      one more, by the same authority\n"
            "  distillery certificates show certificates/worker.pem") {
    line_.RequireCommand();
    create_ = line_.AddCommand(
        "create",
        "make DIR/ca.pem unless it is there, and ROLE.pem with ROLE-key.pem for each role");
    create_.Add("folder", options_.folder, "the folder DIR").Required();
    create_
        .Add("--hosts", options_.hosts,
             "DNS names and IP addresses of teachers and coordinators, separated by "
             "commas; localhost and 127.0.0.1 always are")
        .Delimiter(',');
    create_.Add("--role", roles_,
                "teacher, coordinator, worker, operator or reader; may be repeated (default: "
                "all)");
    create_.Add("--name", options_.name,
                "name in the certificate, and of its files (default: the role's)");
    create_.Add("--days", options_.days, "how long new certificates are valid")
        .Between(1, 36500)
        .ShowDefault();
    create_.Add("--force", options_.force,
                "make anew what is there, for the hosts it had unless --hosts is given; the "
                "authority always stays");
    create_.Footer(
        "Examples:\n"
        "  distillery certificates create certificates --hosts c.example,t.example\n"
        "  distillery certificates create certificates --role reader --name ada\n"
        "  distillery certificates create certificates --role teacher --hosts t2.example --force");
    show_ = line_.AddCommand("show", "role, name, hosts, issuer and validity of a certificate");
    show_.Add("file", file_, "PEM file").Required();
    show_.Add("--json", json_, "print it as JSON");
    show_.Footer("Examples:\n  distillery certificates show certificates/worker.pem --json");
  }
  absl::StatusOr<std::string> Numerics() override { return std::string(); }
  absl::Status Run() override { return create_.parsed() ? Create() : Show(); }

 private:
  absl::Status Create() {
    for (const std::string& role : roles_) {
      DISTILLERY_ASSIGN_OR_RETURN(options_.roles.emplace_back(), ParseRole(role));
    }
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<FolderFile> files,
                                FillCertificateFolder(options_, absl::Now()));
    for (const FolderFile& file : files) {
      Print(stdout, "%s %s: %s\n", file.made ? "made" : "kept", file.path.c_str(),
            file.what.c_str());
    }
    return absl::OkStatus();
  }

  absl::Status Show() const {
    DISTILLERY_ASSIGN_OR_RETURN(const std::string pem, ReadFile(file_, kMaxPemBytes));
    const absl::StatusOr<CertificateInfo> parsed = ParseCertificate(pem);
    if (!parsed.ok()) {
      return absl::FailedPreconditionError(absl::StrCat(file_, ": no certificate in PEM"));
    }
    const CertificateInfo& info = *parsed;
    const absl::Status valid = CheckValidity(info, absl::Now());
    const std::string role = info.identity.has_value() ? RoleName(info.identity->role)
                             : info.is_authority       ? "authority"
                                                       : "";
    const std::string name = info.identity.has_value() ? info.identity->name : "";
    if (json_) {
      const auto time = [](absl::Time at) {
        return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", at, absl::UTCTimeZone());
      };
      const nlohmann::json json = {{"role", role},
                                   {"name", name},
                                   {"hosts", info.hosts},
                                   {"subject", info.subject},
                                   {"issuer", info.issuer},
                                   {"serial", info.serial},
                                   {"valid_from", time(info.not_before)},
                                   {"valid_until", time(info.not_after)},
                                   {"valid", valid.ok()}};
      std::puts(JsonText(json).c_str());
      return absl::OkStatus();
    }
    const auto print = [](const char* what, const std::string& value) {
      Print(stdout, "%-12s %s\n", what, value.empty() ? "-" : value.c_str());
    };
    print("role", role.empty() ? "none: our services refuse it" : role);
    print("name", name);
    print("hosts", absl::StrJoin(info.hosts, ", "));
    print("issuer", info.issuer);
    print("serial", info.serial);
    print("valid from", CertificateTime(info.not_before));
    print("valid until",
          absl::StrCat(CertificateTime(info.not_after),
                       valid.ok() ? "" : absl::StrCat(" (", std::string(valid.message()), ")")));
    return absl::OkStatus();
  }

  CommandLine create_;
  CommandLine show_;
  CertificateFolderOptions options_;
  std::vector<std::string> roles_;
  std::string file_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeCertificatesCommand(CommandLine* parent) {
  return std::make_unique<CertificatesCommand>(parent);
}

}  // namespace distillery
