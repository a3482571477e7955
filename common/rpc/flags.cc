#include "common/rpc/flags.h"

#include <cstdio>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/base/names.h"
#include "common/base/terminal.h"

namespace distillery {
namespace {

std::vector<std::string> LongFlags(const CLI::App* app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app->get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// The innermost subcommand that was given.
CLI::App* Innermost(CLI::App* app) {
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return app;
}

std::string DescribeExtras(CLI::App* app, int argc, char** argv) {
  const std::vector<std::string> flags = LongFlags(app);
  for (int i = 1; i < argc; ++i) {
    const std::string flag = std::string(argv[i]).substr(0, std::string(argv[i]).find('='));
    if (absl::StartsWith(flag, "--") &&
        std::find(flags.begin(), flags.end(), flag) == flags.end()) {
      const std::string nearest = NearestName(flag, flags);
      return absl::StrCat("unknown flag ", flag,
                          nearest.empty() ? std::string("; see --help")
                                          : absl::StrCat("; did you mean ", nearest, "?"));
    }
  }
  for (const std::string& extra : app->remaining(true)) {
    std::vector<std::string> commands;
    for (const CLI::App* command : app->get_subcommands(nullptr)) {
      commands.push_back(command->get_name());
    }
    if (commands.empty()) return absl::StrCat("unexpected argument \"", extra, "\"; see --help");
    return UnknownName("command", extra, commands);
  }
  return "arguments were not understood; see --help";
}

}  // namespace

void AddTransportFlags(CLI::App* app, TransportOptions* options) {
  const std::string group = "Transport";
  app->add_option("--tls-certificate", options->tls_certificate,
                  "PEM certificate of this program (mutual TLS); `distillery certificates create` "
                  "makes one, and new files are taken up without a restart")
      ->envname("DISTILLERY_TLS_CERTIFICATE")
      ->group(group);
  app->add_option("--tls-key", options->tls_key, "PEM private key of the certificate")
      ->envname("DISTILLERY_TLS_KEY")
      ->group(group);
  app->add_option("--tls-ca", options->tls_ca, "PEM authority that the peer must be signed by")
      ->envname("DISTILLERY_TLS_CA")
      ->group(group);
  app->add_flag("--insecure", options->insecure,
                "speak plain text on addresses other than loopback")
      ->group(group);
}

void AddConnectionFlags(CLI::App* app, int64_t* max_connections,
                        int64_t* max_connections_per_address) {
  app->add_option("--max-connections", *max_connections,
                  "connections that may be open; more wait for a second, then are closed")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str()
      ->group("Transport");
  app->add_option("--max-connections-per-address", *max_connections_per_address,
                  "of these from one address, such as that of a proxy; more are closed at once "
                  "(default: half of --max-connections)")
      ->check(CLI::Range(1, 1000000))
      ->group("Transport");
}

void AddAccessFlags(CLI::App* app, std::string* allowed_workers) {
  app->add_option(
         "--allowed-workers", *allowed_workers,
         "file of the workers that may join, one certificate's name a line, # comments; read "
         "anew when it changes (default: every worker with a certificate)")
      ->group("Transport");
}

void AddCommonFlags(CLI::App* app, LogOptions* log) {
  app->add_option("--log-level", log->level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app->add_option("--log-format", log->format, "text, or json: one object a line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app->set_version_flag("--version", absl::StrCat(app->get_name(), " ", DISTILLERY_VERSION));
}

int ParseFlags(CLI::App* app, int argc, char** argv) {
  // gRPC's own log lines repeat what our statuses say.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  try {
    app->parse(argc, argv);
    return -1;
  } catch (const CLI::Success& help) {
    return app->exit(help);
  } catch (const CLI::ExtrasError&) {
    Print(stderr, "%s: %s\n", app->get_name().c_str(),
          DescribeExtras(Innermost(app), argc, argv).c_str());
  } catch (const CLI::ParseError& error) {
    // A required flag or command is often missing because another was misspelt: say that first.
    std::string text = absl::StrReplaceAll(error.what(), {{"\n", " "}});
    const std::string extras = DescribeExtras(Innermost(app), argc, argv);
    if (absl::StartsWith(extras, "unknown ")) text = extras;
    Print(stderr, "%s: %s%s\n", app->get_name().c_str(), text.c_str(),
          absl::StrContains(text, "--help") ? "" : " (see --help)");
  }
  return kExitWrongUsage;
}

int ReportStatus(const std::string& program, const absl::Status& status) {
  if (status.ok()) return kExitDone;
  if (LogsAreJson()) {
    LogCritical("{}", std::string(status.message()));
  } else {
    Print(stderr, "%s: %s\n", program.c_str(), std::string(status.message()).c_str());
  }
  return absl::IsInvalidArgument(status) ? kExitWrongUsage : kExitFailed;
}

}  // namespace distillery
